//! What went wrong in a call, in words: the operation, what it was about, AWS's code and message, and the request's id.
//!
//! An SDK error printed as it is says "service error" or "dispatch failure" and nothing else.

use std::error::Error;

use anyhow::anyhow;
use aws_sdk_ecr::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::RequestId,
};

/// The error for people. `operation` is AWS's name for the call, `about` the resource.
pub(super) fn explain<E>(
    operation: &str,
    about: &str,
    error: &SdkError<E, HttpResponse>,
) -> anyhow::Error
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let head = format!("failed to call {operation} for {about}");
    let request = error
        .request_id()
        .map(|id| format!(" (request {id})"))
        .unwrap_or_default();
    if let SdkError::ServiceError(service) = error {
        let Some(code) = service.err().code() else {
            let status = service.raw().status().as_u16();
            if status >= 500 || status == 429 {
                return anyhow!(
                    "{head}: AWS answered HTTP {status} and gave no reason{request}\ntry again in a moment"
                );
            }
            return anyhow!(
                "{head}: HTTP {status}: what answers is not AWS, or something between changes its answers\n\
                 check AWS_ENDPOINT_URL, and the proxy (HTTPS_PROXY, NO_PROXY)"
            );
        };
        let message = service.err().message().unwrap_or("AWS gave no message");
        return anyhow!("{head}: {code}: {message}{request}{}", cure(code));
    }
    let mut reasons = vec![error.to_string()];
    let mut source = error.source();
    while let Some(reason) = source {
        let text = reason.to_string();
        if reasons.last() != Some(&text) {
            reasons.push(text);
        }
        source = reason.source();
    }
    let all = reasons.join(": ");
    anyhow!("{head}: {all}{request}{}", cure(&all))
}

/// The answer of a call, or none where AWS says that there is no such thing. Otherwise as [`explain`].
///
/// # Errors
/// A call that fails for another reason.
pub(super) fn if_there<T, E>(
    outcome: Result<T, SdkError<E, HttpResponse>>,
    is_missing: fn(&E) -> bool,
    operation: &str,
    about: &str,
) -> anyhow::Result<Option<T>>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match outcome {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.as_service_error().is_some_and(is_missing) => Ok(None),
        Err(error) => Err(explain(operation, about, &error)),
    }
}

/// What helps against the errors that everybody meets once.
fn cure(words: &str) -> &'static str {
    let cures = [
        (
            &[
                "no providers in chain",
                "credentials provider",
                "CredentialsNotLoaded",
                "credentials",
            ][..],
            "\nlog in first: `aws sso login`, or set AWS_PROFILE, or `profile` in deploy.toml; \
             `--sandbox` needs no account",
        ),
        (
            &["ExpiredToken", "ExpiredTokenException"],
            "\nyour session has expired: `aws sso login`, or renew the keys",
        ),
        (
            &[
                "UnrecognizedClient",
                "InvalidSignature",
                "InvalidClientTokenId",
            ],
            "\nAWS does not know these keys: check AWS_PROFILE and AWS_ACCESS_KEY_ID",
        ),
        (
            &["AccessDenied"],
            "\nthe role lacks this permission: ask for it by the operation's name",
        ),
        (
            &["connect", "dns", "dispatch failure", "timeout", "timed out"],
            "\ncheck the network, the region and AWS_ENDPOINT_URL",
        ),
    ];
    cures
        .into_iter()
        .find(|(signs, _)| signs.iter().any(|sign| words.contains(sign)))
        .map_or("", |(_, cure)| cure)
}
