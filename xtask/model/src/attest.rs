//! What is attached to an image so that others can trust it: what is in it, how it came to be, and who answers for it.

use std::{fmt, str::FromStr};

use serde::Serialize;

/// What an environment asks of every image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Attest {
    /// Whether it has a list of its packages.
    pub sbom: bool,
    /// Whether it has a statement of how it was built.
    pub provenance: bool,
    /// What signs it, if anything does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign: Option<Signing>,
}

/// How images are signed, and how a signature is verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Signing {
    /// The program.
    pub tool: SigningTool,
    /// What it is told besides the image to sign it: which key, most of all.
    pub sign_args: Vec<String>,
    /// What it is told besides the image to verify a signature.
    pub verify_args: Vec<String>,
}

/// A program that signs images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SigningTool {
    /// Sigstore's cosign.
    Cosign,
    /// The Notary Project's notation, which AWS Signer has a plugin for.
    Notation,
}

impl Attest {
    /// Whether nothing is asked.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Signing {
    /// What the program is given to sign an image.
    pub fn sign_line(&self, reference: &str) -> Vec<String> {
        // Without `--yes` it asks whether the transparency log may have the signature, also where nobody can answer.
        let own: &[&str] = match self.tool {
            SigningTool::Cosign => &["sign", "--yes"],
            SigningTool::Notation => &["sign"],
        };
        line(own, &self.sign_args, reference)
    }

    /// What the program is given to verify the signature of an image.
    pub fn verify_line(&self, reference: &str) -> Vec<String> {
        line(&["verify"], &self.verify_args, reference)
    }
}

fn line(own: &[&str], args: &[String], reference: &str) -> Vec<String> {
    let own = own.iter().map(|word| (*word).to_owned());
    own.chain(args.iter().cloned())
        .chain([reference.to_owned()])
        .collect()
}

impl SigningTool {
    /// All.
    pub const ALL: [Self; 2] = [Self::Cosign, Self::Notation];

    /// Its name in deploy.toml, and as a program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cosign => "cosign",
            Self::Notation => "notation",
        }
    }

    /// Where it is described.
    pub fn page(self) -> &'static str {
        match self {
            Self::Cosign => "https://docs.sigstore.dev/cosign/system_config/installation/",
            Self::Notation => "https://notaryproject.dev/docs/user-guides/installation/cli/",
        }
    }
}

impl fmt::Display for SigningTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SigningTool {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        let mut all = Self::ALL.into_iter();
        all.find(|tool| tool.name() == word).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_comes_last_and_arguments_stay_whole() {
        let mut signing = Signing {
            tool: SigningTool::Cosign,
            sign_args: vec!["--key".into(), "awskms:///alias/a b".into()],
            verify_args: vec!["--key".into(), "cosign.pub".into()],
        };
        let signed = ["sign", "--yes", "--key", "awskms:///alias/a b", "r@d"];
        assert_eq!(signing.sign_line("r@d"), signed);
        assert_eq!(
            signing.verify_line("r@d"),
            ["verify", "--key", "cosign.pub", "r@d"]
        );
        signing.tool = SigningTool::Notation;
        assert_eq!(
            signing.sign_line("r@d"),
            ["sign", "--key", "awskms:///alias/a b", "r@d"]
        );
        for tool in SigningTool::ALL {
            assert_eq!(tool.name().parse(), Ok(tool));
        }
    }
}
