//! `[scan]` of deploy.toml as it is written.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::located::Located;

/// What scans for vulnerabilities let through.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub(super) struct Scan {
    /// Vulnerabilities that are accepted, each for a reason and until a day.
    pub exceptions: Option<Vec<ScanException>>,
}

/// A vulnerability that is accepted, for a reason and until a day.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields, extend("required" = ["id", "reason", "until"]))]
pub(super) struct ScanException {
    /// Its id, such as `CVE-2024-1234` or `GHSA-xxxx-xxxx-xxxx`.
    #[serde(default)]
    pub id: Located<String>,
    /// Why it is accepted: what makes it harmless here, or who decided so.
    #[serde(default)]
    pub reason: Located<String>,
    /// The last day on which it is accepted, such as `2026-12-31`. From the next day on it counts again.
    #[serde(default)]
    pub until: Located<Date>,
    /// The one package that it is accepted in. Default: any.
    pub package: Option<Located<String>>,
    /// The one service whose images it is accepted in. Default: all.
    pub service: Option<Located<String>>,
}

/// A date, as TOML has it or in quotes.
#[derive(Debug, Default)]
pub(super) struct Date(pub String);

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Self(text)),
            toml::Value::Datetime(date) => Ok(Self(date.to_string())),
            _ => Err(D::Error::custom("a date is expected")),
        }
    }
}

impl JsonSchema for Date {
    fn schema_name() -> Cow<'static, str> {
        "Date".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string", "format": "date" })
    }
    fn inline_schema() -> bool {
        true
    }
}

/// How bad a vulnerability is.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum SeverityName {
    /// Critical.
    Critical,
    /// High, or critical.
    High,
    /// Medium, or worse.
    Medium,
    /// Low, or worse.
    Low,
    /// Negligible, or worse.
    Negligible,
    /// Any, also one of which nobody has said how bad it is.
    Unknown,
}
