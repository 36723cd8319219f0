//! ECR's own scans, waited for. Where an image has none yet, one is ordered; where scans are enhanced, Amazon Inspector makes it.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{
    aws::{Aws, Order, Scan},
    model::vulnerability::Vulnerability,
    report::terminal::Terminal,
    targets::wait::{self, Heed},
};

/// The first pause between two questions, and the longest: all of an account share what ECR takes in a second.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(5)];

/// What ECR finds in an image, by its repository and digest.
pub(super) fn scan(
    aws: &Aws,
    (repository, digest): (&str, &str),
    limit: Duration,
    terminal: &Terminal,
) -> Result<Vec<Vulnerability>> {
    let start = Instant::now();
    let [mut pause, longest] = PAUSES;
    let mut words = None;
    loop {
        let state = match aws.reader().scan(repository, digest)? {
            Scan::Done(found) => return Ok(found),
            Scan::Failed(reason) => bail!(
                "{reason}\nECR scans images of the distributions that it knows; Trivy or Grype may read what it cannot"
            ),
            Scan::Running(state) => state,
            Scan::Missing => {
                if words.is_none() {
                    words = Some(order(aws, repository, digest)?);
                    terminal.detail(&format!("ECR was asked to scan {digest}"));
                }
                "no scan".to_owned()
            }
        };
        if start.elapsed() >= limit {
            let limit = humantime::format_duration(limit);
            let words = words.filter(|words| !words.is_empty());
            let words = words.map_or_else(String::new, |words| format!(" ({words})"));
            bail!(
                "it is not done after {limit}: ECR says {state}{words}\nrun it again in a while, with `--wait 15m` where that can be \
                 said; where ECR says `no scan`, see whether scans are on for `{repository}`"
            );
        }
        wait::sleep(pause, Heed::Interrupts)?;
        pause = (pause * 3 / 2).min(longest);
    }
}

/// Orders a scan. Returns what ECR says where it takes no order: then it may make one by itself.
fn order(aws: &Aws, repository: &str, digest: &str) -> Result<String> {
    match aws.writer().order_scan(repository, digest)? {
        Order::Taken => Ok(String::new()),
        Order::NotTaken(words) => Ok(words),
        Order::Refused(reason) => bail!(
            "{reason}\nECR scans images of the distributions that it knows; Trivy or Grype may read what it cannot"
        ),
    }
}
