//! Repositories of ECR that a text names.

use crate::model::name;

/// The repositories: account, region, and the name where it is written out.
pub(super) fn repositories(text: &str) -> impl Iterator<Item = (String, String, Option<String>)> {
    text.match_indices(".dkr.ecr.").filter_map(|(at, middle)| {
        let account = text.get(at.checked_sub(12)?..at)?;
        let rest = text.get(at + middle.len()..)?;
        let (region, rest) = rest.split_once(".amazonaws.com")?;
        if !name::is_account(account) || !name::is_region(region) {
            return None;
        }
        let rest = rest.strip_prefix(".cn").unwrap_or(rest);
        let written = rest.strip_prefix('/').map(|rest| {
            let end = rest
                .find(|c: char| {
                    !(c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c))
                })
                .unwrap_or(rest.len());
            rest.split_at(end)
        });
        let is_whole = |(found, rest): &(&str, &str)| {
            name::is_repository(found) && !rest.starts_with(['$', '{', '<'])
        };
        let found = written.filter(is_whole).map(|(found, _)| found.to_owned());
        Some((account.to_owned(), region.to_owned(), found))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_read_with_what_is_written_out_of_them() {
        let text = "image: 111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/api:latest\n\
                    REG=444455556666.dkr.ecr.us-east-1.amazonaws.com\n\
                    444455556666.dkr.ecr.us-east-1.amazonaws.com/${NAME}\n\
                    444455556666.dkr.ecr.us-east-1.amazonaws.com/shop-$NAME\n\
                    $ACCOUNT.dkr.ecr.us-east-1.amazonaws.com/x é.dkr.ecr.x 12.dkr.ecr.";
        let found: Vec<_> = repositories(text).collect();
        let row = |account: &str, region: &str, name: Option<&str>| {
            (
                account.to_owned(),
                region.to_owned(),
                name.map(str::to_owned),
            )
        };
        let expected = [
            row("111122223333", "eu-west-1", Some("shop/api")),
            row("444455556666", "us-east-1", None),
            row("444455556666", "us-east-1", None),
            row("444455556666", "us-east-1", None),
        ];
        assert_eq!(found, expected);
    }
}
