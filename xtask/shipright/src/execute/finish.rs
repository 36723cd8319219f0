//! The end of an image: one line that says what came of it.

use serde_json::{Map, Value, json};

use super::stage::Job;
use crate::{
    plan::{Source, status::short_digest},
    report::{result::ImageReport, size},
};

/// Says what came of an image. Of one to which nothing was done, the table at the end says enough.
pub(super) fn finish(job: &mut Job<'_>) {
    let Some(activity) = job.take_activity() else {
        return;
    };
    if job.report.error.is_some() {
        return;
    }
    job.report.seconds = activity.elapsed();
    let report = &job.report;
    let verb = match (&job.image.source, &job.image.publication) {
        (Source::Build(_), None) => "Built",
        (Source::Build(_), Some(_)) => "Pushed",
        (Source::Existing { .. }, _) if report.changed => "Tagged",
        (Source::Existing { .. }, _) => {
            activity.give_up();
            return;
        }
    };
    activity.finish(verb, &summary(report), &fields(report));
}

/// `linux/arm64, 35 MB, sha256:…, 2 of 9 layers new (604 kB), 3.4 s`.
fn summary(report: &ImageReport) -> String {
    let mut parts = vec![report.arch.platform()];
    parts.extend(report.size.map(size::shown));
    parts.extend(
        report
            .digest
            .as_deref()
            .map(short_digest)
            .map(str::to_owned),
    );
    if report.digest.is_none() {
        parts.extend(report.local_names.first().cloned());
        parts.extend(report.steps_in_words());
    }
    if let Some((new, all)) = report.new_layers.zip(report.layers) {
        parts.push(match new {
            0 => "no new layer".to_owned(),
            _ => format!("{new} of {all} layers new ({})", size::shown(report.sent)),
        });
    }
    parts.push(size::seconds(report.seconds));
    parts.join(", ")
}

fn fields(report: &ImageReport) -> Map<String, Value> {
    let all = json!({
        "digest": report.digest,
        "size": report.size,
        "layers": report.layers,
        "new-layers": report.new_layers,
        "bytes-sent": report.sent,
        "names": report.local_names,
    });
    let Value::Object(all) = all else {
        return Map::new();
    };
    all.into_iter()
        .filter(|(_, value)| !value.is_null())
        .collect()
}
