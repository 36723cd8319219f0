//! What the double says, in the words of the protocol in which it was asked.

use serde_json::{Value, json};

use super::Request;

/// Status, headers and body.
pub(super) type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);

/// What comes back.
pub(super) struct Reply {
    /// `None` closes the connection.
    pub(super) answer: Option<Answer>,
    /// Whether it is a fault of a test's, and nothing that AWS would say.
    pub(super) is_injected: bool,
}

impl Reply {
    pub(super) fn injected(answer: Option<Answer>) -> Self {
        Self {
            answer,
            is_injected: true,
        }
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self {
            answer: Some(answer),
            is_injected: false,
        }
    }
}

/// An error's code and message.
pub(super) type Refusal = (&'static str, String);

/// The answer of an operation whose protocol is `awsJson1_1`.
pub(super) fn json(value: &Value) -> Answer {
    let kind = vec![("content-type", "application/x-amz-json-1.1".to_owned())];
    (200, kind, value.to_string().into_bytes())
}

/// The answer of an operation whose protocol is `restJson1`.
pub(super) fn rest(value: &Value) -> Answer {
    let kind = vec![("content-type", "application/json".to_owned())];
    (200, kind, value.to_string().into_bytes())
}

/// An error. Source: the sections on errors in Smithy's specifications of `awsQuery`, `awsJson1_1` and `restJson1`.
pub(super) fn refused(request: &Request, status: u16, code: &str, message: &str) -> Answer {
    if request.body.starts_with(b"Action=") {
        let xml = format!(
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
             <Code>{code}</Code><Message>{message}</Message></Error><RequestId>request-7</RequestId></ErrorResponse>"
        );
        let kind = vec![("content-type", "text/xml".to_owned())];
        return (status, kind, xml.into_bytes());
    }
    if request.header("x-amz-target").is_some() {
        let (_, kind, body) = json(&json!({ "__type": code, "message": message }));
        return (status, kind, body);
    }
    let (_, mut headers, body) = rest(&json!({ "message": message }));
    headers.push(("x-amzn-errortype", code.to_owned()));
    (status, headers, body)
}

/// The status of an error where the protocol is `awsJson1_1`: AWS's own have 500.
pub(super) fn status_of(code: &str) -> u16 {
    match code {
        "ServerException" | "InternalServiceErrorException" => 500,
        _ => 400,
    }
}

/// The answer of `GetCallerIdentity`.
pub(super) fn identity(account: &str) -> Answer {
    let xml = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::{account}:user/tester</Arn><UserId>U</UserId><Account>{account}</Account>\
         </GetCallerIdentityResult><ResponseMetadata><RequestId>request-7</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    );
    (
        200,
        vec![("content-type", "text/xml".to_owned())],
        xml.into_bytes(),
    )
}
