//! Public base images that the sandbox can stand in for where they cannot be pulled.

/// Python on Debian.
pub const PYTHON: &str = "python:3.13-slim";

/// Python for AWS Lambda.
pub const LAMBDA_PYTHON: &str = "public.ecr.aws/lambda/python:3.13";

/// All of them.
pub const ALL: [&str; 2] = [PYTHON, LAMBDA_PYTHON];
