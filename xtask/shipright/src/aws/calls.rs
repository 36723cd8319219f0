//! Requests to AWS as they are sent, with their answers and times.

use std::time::Instant;

use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
        SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    runtime_components::RuntimeComponents,
};

use crate::calls;

/// A client that tells of every request.
#[derive(Debug)]
pub(super) struct Told(pub SharedHttpClient);

#[derive(Debug)]
struct ToldConnector(SharedHttpConnector);

impl HttpClient for Told {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(ToldConnector(self.0.http_connector(settings, components)))
    }
}

impl HttpConnector for ToldConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let name = name(&request);
        let began = Instant::now();
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await;
            match &answer {
                Ok(answer) => calls::ended(
                    name,
                    began,
                    format_args!("HTTP {}", answer.status().as_u16()),
                ),
                Err(_) => calls::ended(name, began, "no answer"),
            }
            answer
        })
    }
}

/// `BatchGetImage` where the protocol names the operation, and else the method and the path. A query may have anything in it.
fn name(request: &HttpRequest) -> String {
    let target = request.headers().get("x-amz-target");
    if let Some((_, operation)) = target.and_then(|target| target.rsplit_once('.')) {
        return operation.to_owned();
    }
    // The query protocol names it in a form.
    let form = request
        .body()
        .bytes()
        .and_then(|form| std::str::from_utf8(form).ok());
    let action = form.and_then(|form| form.strip_prefix("Action="));
    if let Some(action) = action.and_then(|form| form.split('&').next()) {
        return action.to_owned();
    }
    let address = request.uri();
    let path = address.split_once("://").map_or(address, |(_, rest)| rest);
    let path = path.split_once('/').map_or("", |(_, path)| path);
    let path = path.split('?').next().unwrap_or_default();
    format!("{} /{path}", request.method())
}
