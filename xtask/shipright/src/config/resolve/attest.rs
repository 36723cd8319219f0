//! What an environment attaches to its images, resolved: `sbom`, `provenance`, `sign` and its arguments.

use super::super::{
    finding::Finding,
    raw::{self, Located},
};
use crate::model::{
    attest::{Attest, Signing, SigningTool},
    suggestion::suggestion,
};

impl Finding<'_> {
    pub(super) fn attest(&mut self, path: &str, said: &raw::Environment) -> Attest {
        Attest {
            sbom: said.sbom.unwrap_or(false),
            provenance: said.provenance.unwrap_or(false),
            sign: self.signing(path, said),
        }
    }

    fn signing(&mut self, path: &str, said: &raw::Environment) -> Option<Signing> {
        let lists = [
            ("sign-args", said.sign_args.as_deref()),
            ("verify-args", said.verify_args.as_deref()),
        ];
        for (key, list) in lists {
            for argument in list.unwrap_or_default() {
                self.argument(&format!("{path}.{key}"), argument);
            }
        }
        let Some(word) = &said.sign else {
            for (key, list) in lists {
                if let Some(first) = list.and_then(<[_]>::first) {
                    self.problem(
                        &first.span,
                        format!("`{path}.{key}` is for a `sign`, and there is none"),
                        "remove it, or say what signs: `sign = \"cosign\"` or `sign = \"notation\"`",
                    );
                }
            }
            return None;
        };
        let Ok(tool) = word.value.parse::<SigningTool>() else {
            let shown = word.value.escape_debug();
            self.problem(
                &word.span,
                format!("`{path}.sign` is `{shown}`, which is no program that signs images"),
                suggestion(&word.value, SigningTool::ALL.map(SigningTool::name)),
            );
            return None;
        };
        let list = |said: Option<&[Located<String>]>| {
            let all = said.unwrap_or_default().iter();
            all.map(|one| one.value.clone()).collect::<Vec<_>>()
        };
        let [(_, sign_args), (_, verify_args)] = lists;
        let signing = Signing {
            tool,
            sign_args: list(sign_args),
            verify_args: list(verify_args),
        };
        // cosign accepts no signature of just anybody; notation has its trust policy elsewhere.
        if tool == SigningTool::Cosign && signing.verify_args.is_empty() {
            self.problem(
                &word.span,
                format!("`{path}` has `sign = \"cosign\"` and no `verify-args`: nobody could tell whose signatures count"),
                "write the key, `verify-args = [\"--key\", \"awskms:///alias/images\"]`, or who signs without one: \
                 `verify-args = [\"--certificate-identity\", \"…\", \"--certificate-oidc-issuer\", \"…\"]`",
            );
        }
        Some(signing)
    }

    fn argument(&mut self, path: &str, said: &Located<String>) {
        if said.value.is_empty() || said.value.chars().any(char::is_control) {
            let word = said.value.escape_debug();
            self.problem(
                &said.span,
                format!("`{path}` has `{word}`, which is no argument of a program"),
                "write each word of the command line by itself: `[\"--key\", \"cosign.key\"]`",
            );
        }
    }
}
