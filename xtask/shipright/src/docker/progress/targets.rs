//! What a call that makes several targets says, taken apart: each target hears what it would hear alone.
//!
//! buildx puts the target's name before each step's: `[web 2/5] RUN make`, `[web] exporting to oci image format`. A step that targets have in
//! common has one digest, and is told once for each of them; what it prints is told once. Source: `addPrefix` and `ValidateLogSource` in
//! docker/buildx, `util/progress`.

use std::collections::{BTreeMap, BTreeSet};

use super::rawjson::{Event, Log, Piece, Vertex};

/// Takes apart what is said.
#[derive(Debug)]
pub(super) struct Targets {
    names: Vec<String>,
    /// The targets that have a step, by its digest.
    steps: BTreeMap<String, BTreeSet<usize>>,
    /// What each step has printed lately, for targets that turn out to have it as well.
    printed: BTreeMap<String, Vec<Log>>,
    /// Targets that an error has named.
    named: BTreeSet<usize>,
}

impl Targets {
    /// Targets of these names.
    pub(super) fn new(names: Vec<String>) -> Self {
        Self {
            names,
            steps: BTreeMap::new(),
            printed: BTreeMap::new(),
            named: BTreeSet::new(),
        }
    }

    /// The targets that an error has named.
    pub(super) fn named(self) -> BTreeSet<usize> {
        self.named
    }

    /// What each target hears of it.
    pub(super) fn take(&mut self, piece: Piece) -> Vec<(usize, Piece)> {
        match piece {
            Piece::Text(text) => self.text(&text),
            Piece::Event(event) => {
                let mut events: BTreeMap<usize, Event> = BTreeMap::new();
                self.event(event, &mut events);
                let events = events.into_iter();
                events
                    .map(|(target, event)| (target, Piece::Event(event)))
                    .collect()
            }
        }
    }

    /// An error that names its target is that target's, and everything else is anybody's.
    fn text(&mut self, text: &str) -> Vec<(usize, Piece)> {
        let of_target = text
            .strip_prefix("ERROR: target ")
            .and_then(|rest| rest.split_once(": "));
        let named = of_target.and_then(|(name, error)| {
            let target = self.names.iter().position(|one| one == name)?;
            Some((target, Piece::Text(format!("ERROR: {error}"))))
        });
        match named {
            Some((target, piece)) => {
                self.named.insert(target);
                vec![(target, piece)]
            }
            None => {
                let all = 0..self.names.len();
                all.map(|target| (target, Piece::Text(text.to_owned())))
                    .collect()
            }
        }
    }

    fn event(&mut self, event: Event, events: &mut BTreeMap<usize, Event>) {
        for vertex in event.vertexes {
            let (target, name) = self.target_of(&vertex.name);
            let known = self.steps.entry(vertex.digest.clone()).or_default();
            let targets: Vec<_> = match target {
                Some(target) => vec![target],
                None if known.is_empty() => (0..self.names.len()).collect(),
                None => known.iter().copied().collect(),
            };
            let printed = self.printed.get(&vertex.digest);
            for target in targets {
                let is_new = known.insert(target);
                if let Some(printed) = printed.filter(|_| is_new) {
                    let logs = &mut events.entry(target).or_default().logs;
                    logs.extend(printed.iter().cloned());
                }
                let name = name.clone();
                let vertex = Vertex {
                    name,
                    ..vertex.clone()
                };
                events.entry(target).or_default().vertexes.push(vertex);
            }
        }
        for status in event.statuses {
            for target in self.targets_of(&status.vertex) {
                events
                    .entry(target)
                    .or_default()
                    .statuses
                    .push(status.clone());
            }
        }
        for log in event.logs {
            for target in self.targets_of(&log.vertex) {
                events.entry(target).or_default().logs.push(log.clone());
            }
            self.keep(log);
        }
    }

    /// The target that a step's name begins with, and the name without it.
    fn target_of(&self, name: &str) -> (Option<usize>, String) {
        let Some(rest) = name.strip_prefix('[') else {
            return (None, name.to_owned());
        };
        let (first, after) = rest.split_at(rest.find([' ', ']']).unwrap_or(rest.len()));
        match self.names.iter().position(|one| one == first) {
            None => (None, name.to_owned()),
            target => {
                let name = match after.strip_prefix("] ") {
                    Some(whole) => whole.to_owned(),
                    None => format!("[{}", after.trim_start()),
                };
                (target, name)
            }
        }
    }

    fn targets_of(&self, digest: &str) -> Vec<usize> {
        self.steps
            .get(digest)
            .map(|targets| targets.iter().copied().collect())
            .unwrap_or_default()
    }

    /// Targets come to know their steps soon: the first lines are enough.
    fn keep(&mut self, log: Log) {
        const MOST: usize = 200;
        let kept = self.printed.entry(log.vertex.clone()).or_default();
        if kept.len() < MOST {
            kept.push(log);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn targets() -> Targets {
        Targets::new(vec!["a".into(), "b".into()])
    }

    fn names(said: &[(usize, Piece)]) -> Vec<(usize, Vec<&str>)> {
        fn of(piece: &Piece) -> Vec<&str> {
            match piece {
                Piece::Event(event) => event.vertexes.iter().map(|one| one.name.as_str()).collect(),
                Piece::Text(_) => panic!("{piece:?}"),
            }
        }
        said.iter()
            .map(|(target, piece)| (*target, of(piece)))
            .collect()
    }

    fn step(digest: &str, name: &str) -> Piece {
        let event = json!({ "vertexes": [{ "digest": digest, "name": name }] });
        Piece::Event(serde_json::from_value(event).unwrap())
    }

    #[test]
    fn a_step_goes_to_its_target_without_the_target_s_name() {
        let mut targets = targets();
        for (name, target, heard) in [
            ("[a 2/5] RUN make", 0, "[2/5] RUN make"),
            (
                "[b internal] load .dockerignore",
                1,
                "[internal] load .dockerignore",
            ),
            (
                "[b] exporting to oci image format",
                1,
                "exporting to oci image format",
            ),
        ] {
            let said = targets.take(step(name, name));
            assert_eq!(names(&said), [(target, vec![heard])]);
        }
        for everybody in [
            "[internal] load local bake definitions",
            "[ab 1/2] RUN x",
            "[",
            "",
        ] {
            let said = targets.take(step(everybody, everybody));
            assert_eq!(names(&said), [(0, vec![everybody]), (1, vec![everybody])]);
        }
    }

    #[test]
    fn what_a_common_step_prints_is_heard_by_each_target_that_has_it() {
        let mut targets = targets();
        let log = |digest: &str| {
            let log =
                json!({ "vertex": digest, "data": "aGkK", "timestamp": "2026-11-26T03:20:50Z" });
            let event = json!({ "logs": [log] });
            Piece::Event(serde_json::from_value(event).unwrap())
        };
        let heard = |said: Vec<(usize, Piece)>| -> Vec<(usize, usize)> {
            let count = |piece: &Piece| match piece {
                Piece::Event(event) => event.logs.len(),
                Piece::Text(_) => 0,
            };
            said.iter()
                .map(|(target, piece)| (*target, count(piece)))
                .collect()
        };
        targets.take(step("x", "[a 1/1] RUN x"));
        assert_eq!(heard(targets.take(log("x"))), [(0, 1)]);
        let joins = targets.take(step("x", "[b 1/1] RUN x"));
        assert_eq!(
            heard(joins),
            [(1, 1)],
            "what was printed before it was known"
        );
        let again = targets.take(step("x", "[b 1/1] RUN x"));
        assert_eq!(heard(again), [(1, 0)]);
        assert_eq!(heard(targets.take(log("x"))), [(0, 1), (1, 1)]);
        assert_eq!(heard(targets.take(log("nobody's"))), []);
    }

    #[test]
    fn an_error_goes_to_the_target_that_it_names() {
        let mut targets = targets();
        let heard = |said: Vec<(usize, Piece)>| -> Vec<(usize, String)> {
            let text = |piece| match piece {
                Piece::Text(text) => text,
                Piece::Event(event) => panic!("{event:?}"),
            };
            said.into_iter()
                .map(|(target, piece)| (target, text(piece)))
                .collect()
        };
        let text = |text: &str| Piece::Text(text.to_owned());
        let said = targets.take(text("ERROR: target b: failed to solve: no"));
        assert_eq!(heard(said), [(1, "ERROR: failed to solve: no".to_owned())]);
        let said = targets.take(text("ERROR: target c: no"));
        assert_eq!(heard(said).len(), 2);
        assert_eq!(targets.named(), BTreeSet::from([1]));
    }
}
