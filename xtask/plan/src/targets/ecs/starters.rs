//! Rules and schedules that start tasks of the family that a deployment adds a revision to.

use crate::model::schedule::{Starter, StarterKind};

/// What people should know of them: a deployment changes services alone.
pub fn starter_notes(family: &str, starters: &[Starter]) -> Vec<String> {
    let note = |starter: &Starter| {
        let (its_family, revision) = starter.family_and_revision();
        if its_family != family {
            return None;
        }
        let kind = match starter.kind {
            StarterKind::Rule => "the EventBridge rule",
            StarterKind::Schedule => "the EventBridge schedule",
        };
        let name = &starter.name;
        Some(match revision {
            Some(revision) => format!(
                "{kind} {name} starts {family}:{revision}, by its number: no deployment changes the image or the CPU of that"
            ),
            None => format!(
                "{kind} {name} starts the newest revision of {family}: it takes the image and the CPU that a deployment registers"
            ),
        })
    };
    let mut notes: Vec<_> = starters.iter().filter_map(note).collect();
    notes.dedup();
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_name_the_family_are_told_with_and_without_a_revision() {
        let starter = |kind, name: &str, definition: &str| Starter {
            kind,
            name: name.to_owned(),
            task_definition: definition.to_owned(),
        };
        let of = "arn:aws:ecs:eu-west-1:111122223333:task-definition";
        let notes = starter_notes(
            "api",
            &[
                starter(StarterKind::Rule, "nightly", &format!("{of}/api:7")),
                starter(StarterKind::Schedule, "hourly", &format!("{of}/api")),
                starter(StarterKind::Schedule, "short", "api"),
                starter(StarterKind::Rule, "other", &format!("{of}/api-worker:7")),
            ],
        );
        assert_eq!(notes.len(), 3, "{notes:?}");
        assert!(notes[0].starts_with("the EventBridge rule nightly starts api:7, by its number"));
        assert!(
            notes[1]
                .starts_with("the EventBridge schedule hourly starts the newest revision of api")
        );
        assert!(notes[2].contains("schedule short"));
    }
}
