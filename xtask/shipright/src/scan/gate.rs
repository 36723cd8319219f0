//! The gate before moving tags, as a push and a promotion go through it.

use anyhow::{Result, anyhow};

use super::{Scans, Subject, WAIT};
use crate::{
    facts::host,
    model::{
        config::Config,
        vulnerability::{Day, Exception},
    },
    plan::scan::{Acceptance, Gate, Rule, Verdict, judge, stopped},
    report::{scan as shown, terminal::Terminal},
    store::ContentStore,
};

/// Lets an image through, or does not.
pub struct GateKeeper<'g> {
    gate: Gate,
    scans: Scans<'g>,
    terminal: &'g Terminal,
    exceptions: &'g [Exception],
    today: Day,
}

impl<'g> GateKeeper<'g> {
    /// Stands at a gate.
    pub fn new(
        gate: Gate,
        config: &'g Config,
        terminal: &'g Terminal,
        store: &'g ContentStore,
    ) -> Self {
        Self {
            gate,
            scans: Scans::new(gate.scanner, WAIT, terminal, store),
            terminal,
            exceptions: &config.scan_exceptions,
            today: host::today(),
        }
    }

    /// Scans an image of a service, and says what was found.
    ///
    /// # Errors
    /// What stops it: a vulnerability, or a scan that was not made.
    pub fn require(&self, service: &str, subject: &Subject<'_>) -> Result<Verdict> {
        let found = self.scans.of(subject).map_err(|error| {
            let gate = self.gate.fail_on;
            let way = format!(
                "nothing is known of it, so it does not pass `scan = \"{gate}\"` and no moving tag is written: run the command again once {} works",
                self.gate.scanner.title()
            );
            anyhow!("{error:#}\n{way}")
        })?;
        let acceptance = Acceptance {
            exceptions: self.exceptions,
            service: Some(service),
            today: self.today,
        };
        let rule = Rule {
            fail_on: Some(self.gate.fail_on),
            only_fixed: false,
        };
        let verdict = judge(&found, &acceptance, rule);
        say(self.terminal, subject.name, &verdict);
        match stopped(&verdict, self.gate.fail_on) {
            None => Ok(verdict),
            Some(reason) => Err(anyhow!("{reason}")),
        }
    }
}

/// What was found in an image, in a line, and with which exceptions.
fn say(terminal: &Terminal, name: &str, verdict: &Verdict) {
    terminal.status("Scanned", &format!("{name}: {}", verdict.summary()));
    for exception in verdict.accepted() {
        terminal.note(&format!("{name}: {}", shown::accepted(exception)));
    }
    for exception in &verdict.expired {
        terminal.warning(&format!("{name}: {}", shown::expired(exception)));
    }
}
