//! What a deployment of a Lambda function that fails goes back to, and what is done where AWS does not tell what runs.
//!
//! A function takes an image by its reference alone: what AWS does not name cannot be given to it again. It can be kept as a
//! version, though, and an alias can name that: callers of an alias are not lost.

use super::{Facts, Step};
use crate::model::function::{Alias, Code, Condition, Version};

/// The steps that keep what runs now, before it is replaced.
pub(super) fn keeping(facts: &Facts) -> Vec<Step> {
    let now = facts.function.code();
    let has_it = |now: &Code| facts.versions.iter().any(|version| has(version, now));
    if now.as_ref().is_some_and(has_it) || facts.function.condition != Condition::Ready {
        return Vec::new();
    }
    let is_held = now.is_none() && facts.alias.as_ref().is_some_and(follows_the_code);
    let hold = is_held.then_some(Step::HoldAlias);
    [Step::KeepPrevious].into_iter().chain(hold).collect()
}

/// Why a deployment with these steps could not be undone, where it could not.
pub(super) fn no_way_back(facts: &Facts, steps: &[Step]) -> Option<String> {
    let function = &facts.function;
    let is_told = !function.exists || function.code().is_some();
    if is_told || !steps.contains(&Step::UpdateCode) || callers_are_held(facts, steps) {
        return None;
    }
    let name = &function.name;
    let problem = format!("AWS does not tell which image function {name} runs");
    Some(if steps.contains(&Step::KeepPrevious) {
        format!(
            "{problem}: it is kept as a version, which an alias can name, and which nothing can make the function itself run again"
        )
    } else {
        format!("{problem}, and it cannot be kept as a version, because its last update has failed")
    })
}

/// Whether callers use an alias that stays on what they have, whatever becomes of the function.
fn callers_are_held(facts: &Facts, steps: &[Step]) -> bool {
    let stays = |alias: &Alias| !follows_the_code(alias) || steps.contains(&Step::HoldAlias);
    facts.alias.as_ref().is_some_and(stays)
}

fn follows_the_code(alias: &Alias) -> bool {
    alias.version == "$LATEST"
}

/// What is restored when something fails: what ran before, also before an earlier run that was killed. Where AWS does not tell
/// what runs, that is what callers get, and not some earlier version.
pub(super) fn previous_code(to: &Code, facts: &Facts) -> Option<Code> {
    let other = |code: &&Code| !code.is(to);
    let now = facts.function.code();
    let of_alias = facts.of_alias().and_then(|version| version.code.as_ref());
    let earlier = facts.versions.iter().filter(|_| now.is_some());
    let earlier = earlier.filter_map(|version| version.code.as_ref());
    now.as_ref()
        .into_iter()
        .chain(of_alias)
        .chain(earlier)
        .find(other)
        .cloned()
}

/// Whether a version is known to run something.
pub(super) fn has(version: &Version, code: &Code) -> bool {
    version.code.as_ref().is_some_and(|known| known.is(code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        arch::Arch,
        targets::lambda::fixtures::{code, facts},
    };

    /// A function whose image AWS does not tell.
    fn dark(condition: Condition, alias: Option<&str>) -> Facts {
        let old = code("sha256:old", Arch::Amd64);
        let mut facts = facts(&old, &[("1", &old)], alias);
        (facts.function.digest, facts.function.image) = (None, None);
        facts.function.condition = condition;
        facts
    }

    #[test]
    fn what_aws_does_not_tell_is_kept_and_callers_of_an_alias_stay_on_it() {
        use Step::{HoldAlias, KeepPrevious, UpdateCode};
        let failed = || Condition::Failed("it broke".into());
        let table = [
            (Condition::Ready, Some("1"), vec![KeepPrevious], None),
            (
                Condition::Ready,
                Some("$LATEST"),
                vec![KeepPrevious, HoldAlias],
                None,
            ),
            (
                Condition::Ready,
                None,
                vec![KeepPrevious],
                Some("nothing can make the function itself"),
            ),
            (failed(), Some("1"), vec![], None),
            (failed(), Some("$LATEST"), vec![], Some("cannot be kept")),
            (failed(), None, vec![], Some("cannot be kept")),
        ];
        for (condition, alias, keeping_steps, why) in table {
            let facts = dark(condition, alias);
            let mut steps = keeping(&facts);
            assert_eq!(steps, keeping_steps, "{alias:?}");
            steps.push(UpdateCode);
            let said = no_way_back(&facts, &steps);
            let is_it = said
                .as_deref()
                .is_some_and(|said| said.contains(why.unwrap_or("?")));
            assert_eq!(is_it, why.is_some(), "{alias:?}: {said:?}");
        }
    }

    #[test]
    fn what_is_told_is_put_back_by_its_digest_and_an_earlier_version_never_stands_in_for_what_is_not()
     {
        let (old, new) = (
            code("sha256:old", Arch::Amd64),
            code("sha256:new", Arch::Arm64),
        );
        let told = facts(&old, &[("1", &old)], None);
        assert_eq!(no_way_back(&told, &[Step::UpdateCode]), None);
        assert_eq!(previous_code(&new, &told), Some(old.clone()));
        assert_eq!(previous_code(&new, &dark(Condition::Ready, None)), None);
        assert_eq!(
            previous_code(&new, &dark(Condition::Ready, Some("1"))),
            Some(old),
            "what callers get"
        );
    }
}
