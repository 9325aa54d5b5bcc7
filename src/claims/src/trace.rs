//! Agent Trace records (<https://agent-trace.dev>, version 0.1): who or what contributed to which file. Read leniently.
//!
//! A record is JSON: `vcs.revision` says for which commit it holds, `files[].path` for which files,
//! `files[].conversations[].contributor` (and `ranges[].contributor`, which goes before) has `type` human, ai, mixed or
//! unknown and a `model_id`; `tool.name` is what wrote it. Where records are kept is left open by the format; those are
//! found that lie in the folder `.agent-trace` of the head (as its reference implementation keeps them) or in Git notes
//! under `refs/notes/agent-trace`, and a file can be named. Records of other revisions or other files say nothing here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{agents, trailers::Contribution};

/// Bytes of records that are read at most, over all places.
pub(crate) const MOST_BYTES: usize = 16 * 1024 * 1024;
/// Hexadecimal digits by which a shortened revision is still taken for one.
const SHORTEST_REVISION: usize = 7;

/// What records say of a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traced {
    /// Each file of the change that a record speaks of.
    files: BTreeMap<String, Contribution>,
    /// The agents or models that are named.
    pub agents: BTreeSet<String>,
}

/// Which records are about the change.
pub struct About<'a> {
    /// Full hexadecimal ids of its commits and of the commits that they were made on: tools record either.
    pub revisions: &'a BTreeSet<String>,
    /// Paths of the touched files that have to be accounted for.
    pub files: &'a BTreeSet<String>,
}

impl Traced {
    /// Reads records: one JSON value, a list of them, or one a line. What is none is passed over.
    pub fn read(&mut self, text: &str, about: &About<'_>) {
        match serde_json::from_str::<Value>(text) {
            Ok(Value::Array(records)) => records.iter().for_each(|record| self.record(record, about)),
            Ok(record) => self.record(&record, about),
            Err(_) => {
                for line in text.lines().filter(|line| !line.trim().is_empty()) {
                    if let Ok(record) = serde_json::from_str::<Value>(line) {
                        self.record(&record, about);
                    }
                }
            }
        }
    }

    /// What the records make of the whole change: a machine's where each file is said to be, mixed where only some are.
    #[must_use]
    pub fn contribution(&self, about: &About<'_>) -> Contribution {
        let mut all = about.files.iter().map(|file| self.files.get(file).copied().unwrap_or(Contribution::Unknown));
        let first = all.next().unwrap_or(Contribution::Unknown);
        all.fold(first, Contribution::and)
    }

    fn record(&mut self, record: &Value, about: &About<'_>) {
        let revision = record.pointer("/vcs/revision").and_then(Value::as_str).map(str::to_ascii_lowercase);
        let fits = |revision: &String| {
            revision.len() >= SHORTEST_REVISION && about.revisions.iter().any(|known| known.starts_with(revision.as_str()))
        };
        if revision.as_ref().is_some_and(|revision| !fits(revision)) {
            return;
        }
        let tool = record.pointer("/tool/name").and_then(Value::as_str);
        for file in list(record, "files") {
            let path = file.get("path").and_then(Value::as_str).unwrap_or_default().trim_start_matches("./");
            if !about.files.contains(path) {
                continue;
            }
            for contributor in list(file, "conversations").flat_map(contributors) {
                self.contributor(path, contributor, tool);
            }
        }
    }

    fn contributor(&mut self, path: &str, contributor: &Value, tool: Option<&str>) {
        let kind = contributor.get("type").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
        let contribution = match kind.as_str() {
            "human" => Contribution::Human,
            "ai" => Contribution::Ai,
            "mixed" => Contribution::Mixed,
            _ => return,
        };
        let so_far = self.files.get(path).copied();
        self.files.insert(path.to_owned(), so_far.map_or(contribution, |so_far| so_far.and(contribution)));
        if contribution == Contribution::Human {
            return;
        }
        let model = contributor.get("model_id").and_then(Value::as_str);
        let tool = tool.filter(|tool| *tool != "unknown");
        let named = tool.and_then(agents::meant).or_else(|| model.and_then(model_agent));
        if let Some(name) = named.or(tool).or(model).map(|name| crate::words::line(name, crate::trailers::LONGEST_AGENT)) {
            self.agents.extend(Some(name).filter(|name| !name.is_empty()));
        }
    }
}

/// The agent of a model such as `anthropic/claude-opus-4-5`.
fn model_agent(model: &str) -> Option<&'static str> {
    model.rsplit_once('/').and_then(|(_, name)| agents::meant(name)).or_else(|| agents::meant(model))
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// The contributors of a conversation: of its ranges where they have their own, else its own.
fn contributors(conversation: &Value) -> Vec<&Value> {
    let own = conversation.get("contributor");
    let ranges: Vec<&Value> = list(conversation, "ranges").filter_map(|range| range.get("contributor").or(own)).collect();
    if ranges.is_empty() { own.into_iter().collect() } else { ranges }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const COMMIT: &str = "a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6e7f8a9b0";

    fn record(revision: &str, path: &str, kind: &str, model: &str, tool: &str) -> String {
        format!(
            r#"{{"version":"0.1.0","id":"550e8400-e29b-41d4-a716-446655440000","timestamp":"2026-01-23T14:30:00Z","vcs":{{"type":"git","revision":"{revision}"}},"tool":{{"name":"{tool}"}},"files":[{{"path":"{path}","conversations":[{{"contributor":{{"type":"{kind}","model_id":"{model}"}},"ranges":[{{"start_line":1,"end_line":9}}]}}]}}]}}"#
        )
    }

    #[rstest]
    #[case::all_by_a_machine(&[record(COMMIT, "a.rs", "ai", "anthropic/claude-opus-4-5", "claude-code"), record(COMMIT, "b.rs", "ai", "openai/gpt-5", "unknown")], Contribution::Ai, &["ChatGPT", "Claude"])]
    #[case::one_of_two(&[record(COMMIT, "a.rs", "ai", "m/x", "cursor")], Contribution::Mixed, &["Cursor"])]
    #[case::both_by_a_human(&[record(COMMIT, "a.rs", "human", "", "x"), record(COMMIT, "b.rs", "human", "", "x")], Contribution::Human, &[])]
    #[case::one_by_a_human(&[record(COMMIT, "a.rs", "human", "", "x")], Contribution::Unknown, &[])]
    #[case::another_revision(&[record("ffffffffffffffffffffffffffffffffffffffff", "a.rs", "ai", "m/x", "cursor")], Contribution::Unknown, &[])]
    #[case::another_file(&[record(COMMIT, "c.rs", "ai", "m/x", "cursor")], Contribution::Unknown, &[])]
    #[case::shortened(&[record("a1b2c3d", "a.rs", "mixed", "own/frob-1", "unknown")], Contribution::Mixed, &["own/frob-1"])]
    #[case::not_whole(&["{\"files\":[{\"path\":\"a.rs\"".to_owned(), record(COMMIT, "a.rs", "ai", "m/x", "amp")], Contribution::Mixed, &["Amp"])]
    #[case::nothing(&[], Contribution::Unknown, &[])]
    fn given_records_a_line_when_read_then_who_contributed(
        #[case] lines: &[String],
        #[case] contribution: Contribution,
        #[case] agents: &[&str],
    ) {
        let (revisions, files) = ([COMMIT.to_owned()].into(), ["a.rs".to_owned(), "b.rs".to_owned()].into());
        let about = About { revisions: &revisions, files: &files };
        let mut traced = Traced::default();
        traced.read(&lines.join("\n"), &about);
        assert_eq!(traced.contribution(&about), contribution);
        assert_eq!(traced.agents.iter().map(String::as_str).collect::<Vec<_>>(), agents);
    }

    #[test]
    fn given_a_range_with_its_own_contributor_when_read_then_it_goes_before_the_conversations() {
        let text = r#"[{"files":[{"path":"a.rs","conversations":[{"contributor":{"type":"ai"},"ranges":[{"start_line":1,"end_line":2},{"start_line":3,"end_line":4,"contributor":{"type":"human"}}]}]}]}]"#;
        let (revisions, files) = (BTreeSet::new(), ["a.rs".to_owned()].into());
        let about = About { revisions: &revisions, files: &files };
        let mut traced = Traced::default();
        traced.read(text, &about);
        assert_eq!(traced.contribution(&about), Contribution::Mixed);
    }
}
