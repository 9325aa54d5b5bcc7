//! A repository with known history, its figures one by one, and what stops the reading of one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod repo;

use std::collections::BTreeMap;

use firebreak_claims::{Claims, Error, Format, HISTORY_COMMITS, Request, run, write};
use gix::ObjectId;
use repo::{Repo, gone, is, lines};

const ALICE: &str = "Alice <alice@example.com>";
const BOB: &str = "Bob <bob@example.com>";
const CAROL: &str = "Carol <carol@example.com>";

fn request(repo: &Repo, base: &str, head: &str) -> Request {
    Request {
        folder: repo.folder.path().to_owned(),
        base: base.to_owned(),
        head: head.to_owned(),
        change_url: None,
        records: None,
        history: HISTORY_COMMITS,
    }
}

fn claims(repo: &Repo, base: &str, head: &str) -> Claims {
    run(&request(repo, base, head), &mut |_| {}).unwrap()
}

fn refused(repo: &Repo, base: &str, head: &str) -> String {
    run(&request(repo, base, head), &mut |_| {}).unwrap_err().to_string()
}

fn figures(claims: &Claims) -> BTreeMap<&'static str, f64> {
    claims.measures.iter().map(|measure| (measure.name, measure.value)).collect()
}

fn claim<'a>(claims: &'a Claims, name: &str) -> Option<&'a str> {
    claims.annotations.get(&format!("firebreak.dev/{name}")).map(String::as_str)
}

/// Day by day: A (Alice) adds cart, pay and guide; B (Bob) adds 2 lines to cart; H (Bob) the guide; C (Alice) adds 5 and
/// deletes 1 of pay and adds a server; D (Carol), beside it, adds a migration and a line to cart, merged by M (Alice); E
/// (Bob) moves pay to payment. Then the change: F and G, both Bob's.
fn known() -> (Repo, ObjectId) {
    let repo = Repo::new();
    let a = repo.commit(
        &[],
        ALICE,
        0,
        "Begin",
        &[
            is("src/cart.rs", lines("cart", 0..10)),
            is("src/pay.rs", lines("pay", 0..20)),
            is("docs/guide.md", lines("guide", 0..5)),
        ],
    );
    let b = repo.commit(&[a], BOB, 10, "More of the cart", &[is("src/cart.rs", lines("cart", 0..12))]);
    let h = repo.commit(&[b], BOB, 15, "Guide", &[is("docs/guide.md", lines("guide", 0..9))]);
    let c = repo.commit(
        &[h],
        ALICE,
        20,
        "Pay",
        &[is("src/pay.rs", lines("pay", 1..25)), is("api/server.rs", lines("server", 0..30))],
    );
    let d = repo.commit(
        &[b],
        CAROL,
        30,
        "Migration",
        &[is("db/migrations/1.sql", lines("sql", 0..3)), is("src/cart.rs", lines("cart", 0..13))],
    );
    let m = repo.commit(
        &[c, d],
        ALICE,
        40,
        "Merge",
        &[is("db/migrations/1.sql", lines("sql", 0..3)), is("src/cart.rs", lines("cart", 0..13))],
    );
    let e = repo.commit(&[m], BOB, 50, "Move", &[gone("src/pay.rs"), is("src/payment.rs", lines("pay", 1..25))]);
    let f = repo.commit(
        &[e],
        BOB,
        60,
        "Show the cart\n\nCo-authored-by: Claude <noreply@anthropic.com>",
        &[
            is("src/cart.rs", lines("cart", 0..21)),
            is("src/payment.rs", lines("pay", 3..33)),
            is("Cargo.lock", lines("lock", 0..50)),
            is("vendor/x/y.rs", lines("vendored", 0..400)),
        ],
    );
    let g = repo.commit(
        &[f],
        BOB,
        61,
        "Fix the cart",
        &[is("tests/cart.rs", lines("test", 0..4)), is("config/app.yaml", lines("config", 0..2))],
    );
    repo.point("refs/heads/main", e);
    repo.point("refs/heads/topic", g);
    (repo, g)
}

#[test]
fn given_a_known_history_when_a_change_is_measured_then_each_figure_is_right() {
    let (repo, _) = known();
    let claims = claims(&repo, "main", "topic");
    let is = figures(&claims);
    // Touched: src/cart.rs, src/payment.rs, Cargo.lock, tests/cart.rs, config/app.yaml; vendor/x/y.rs is none.
    assert_eq!(is["files"], 5.0);
    assert_eq!(is["directories"], 4.0, "src, the root, tests, config");
    assert_eq!(is["subsystems"], 4.0, "src, the root, tests, config");
    // cart +8; payment +8 -2; test +4; config +2; the lock file and the vendored one not at all.
    assert_eq!((is["linesAdded"], is["linesDeleted"]), (22.0, 2.0));
    // Shares 8, 10, 4 and 2 of 24.
    let entropy: f64 = [8.0_f64, 10.0, 4.0, 2.0].iter().map(|lines| lines / 24.0).map(|p| -p * p.log2()).sum::<f64>() / 2.0;
    assert!((is["entropy"] - entropy).abs() < 1e-4, "{} {entropy}", is["entropy"]);
    // cart had 13 lines, payment 24, three files none or uncounted.
    assert!((is["linesBefore"] - 37.0 / 5.0).abs() < 1e-4);
    // cart: A, B, D. payment, with what pay had: A, C, E.
    assert_eq!(is["earlierChanges"], 5.0);
    assert_eq!(is["developers"], 3.0);
    assert_eq!(is["ownershipSpread"], 0.6, "Alice and Bob made two of five each");
    // cart was last changed on day 30 (by what was merged on day 40), payment on day 50; now is day 61.
    assert_eq!(is["age"], (31.0 + 11.0) / 2.0);
    // Bob made B, H and E before; H only in docs.
    assert_eq!((is["experience"], is["subsystemExperience"]), (3.0, 2.0));
    let recent: f64 = [51.0, 46.0, 11.0].iter().map(|days| 1.0 / (1.0 + days / 365.25)).sum();
    assert!((is["recentExperience"] - recent).abs() < 1e-4);
    assert_eq!((is["fix"], is["withoutTests"], is["migrations"], is["configuration"]), (1.0, 0.0, 0.0, 1.0));
    assert_eq!(is.len(), 18, "every measure is checked here: {is:?}");
}

#[test]
fn given_a_known_history_when_read_then_what_was_read_is_said() {
    let (repo, head) = known();
    let claims = claims(&repo, "main", "topic");
    assert_eq!((claims.read.commits, claims.read.whole_history), (7, true), "A, B, H, C, D, M, E");
    assert_eq!(claims.read.changes_compared_with, 6, "as the branch took them: A, B, H, C, M with D in it, E");
    assert_eq!(claim(&claims, "risk-score"), None, "six changes are too few for a percentile");
    assert!(claims.notes.iter().any(|note| note.starts_with("no risk score: 6 changes came before")), "{:?}", claims.notes);
    assert!(claims.notes.iter().any(|note| note.starts_with("the lines of 2 files are not counted")), "{:?}", claims.notes);
    assert_eq!(claim(&claims, "revision"), Some(head.to_string().as_str()));
    assert_eq!(claim(&claims, "author"), Some("Bob <bob@example.com>"));
    assert_eq!(claim(&claims, "ai-contribution"), Some("mixed"));
    assert_eq!(claim(&claims, "ai-agents"), Some("Claude"));
    assert_eq!(claim(&claims, "summary"), Some("Fix the cart and 1 other commit; 5 files, +22 -2 lines."));
}

#[test]
fn given_a_change_that_was_merged_when_measured_against_the_merges_first_parent_then_it_is_the_merged_commits() {
    let (repo, _) = known();
    let claims = claims(&repo, "main~2", "main~1");
    let is = figures(&claims);
    assert_eq!((is["files"], is["linesAdded"]), (2.0, 4.0), "D's files, not those of C");
    assert_eq!(is["migrations"], 1.0);
    assert_eq!(claim(&claims, "author"), Some("Carol <carol@example.com>"), "not Alice, who merged it");
    assert_eq!(is["experience"], 0.0);
}

#[test]
fn given_fewer_commits_to_read_when_read_then_what_is_older_does_not_count_and_it_is_said() {
    let (repo, _) = known();
    let claims = run(&Request { history: 1, ..request(&repo, "main", "topic") }, &mut |_| {}).unwrap();
    assert_eq!((claims.read.commits, claims.read.whole_history), (1, false));
    assert_eq!(figures(&claims)["earlierChanges"], 1.0, "E alone");
    assert!(claims.explanation().iter().any(|line| line.contains("the newest; older ones were not read")));
}

#[test]
fn given_progress_when_a_history_is_read_then_all_of_it_is_told() {
    let (repo, _) = known();
    let mut told = Vec::new();
    run(&request(&repo, "main", "topic"), &mut |progress| told.push(progress)).unwrap();
    assert!(told.contains(&firebreak_claims::Progress::Changes { done: 7, of: 7 }), "{told:?}");
    assert!(told.contains(&firebreak_claims::Progress::Lines { done: 6, of: 6 }), "{told:?}");
}

/// 40 small changes of five files in turn, then two changes: a small one and a large one.
fn compared() -> Repo {
    let repo = Repo::new();
    let mut tip = repo.commit(&[], ALICE, 0, "Begin", &[is("src/f0.rs", "0\n"), is("tests/t.rs", "0\n")]);
    for number in 1..=40_u32 {
        let author = if number % 3 == 0 { BOB } else { ALICE };
        let path = format!("src/f{}.rs", number % 5);
        tip = repo.commit(
            &[tip],
            author,
            i64::from(number),
            "Work",
            &[is(&path, lines("line", 0..number)), is("tests/t.rs", lines("t", 0..number))],
        );
    }
    repo.point("refs/heads/main", tip);
    let small = repo.commit(
        &[tip],
        ALICE,
        41,
        "Work, as ever",
        &[is("src/f1.rs", lines("line", 0..37)), is("tests/t.rs", lines("t", 0..41))],
    );
    repo.point("refs/heads/small", small);
    let large: Vec<_> =
        (0..30).map(|number| is(&format!("part{}/new{number}.rs", number % 7), lines("new", 0..50 + number))).collect();
    let large = repo.commit(
        &[tip],
        "Dan O'Hara {new} <dan@example.com>",
        41,
        "Rework everything, \"quickly\"\n\nAssisted-by: Claude:claude-opus-4\nReviewed-by: Bob <bob@example.com>",
        &[
            &large[..],
            &[
                is("db/migrations/7.sql", "ALTER TABLE cart ADD COLUMN note text;\n"),
                is("charts/shop/values.yaml", "replicas: 3\n"),
            ],
        ]
        .concat(),
    );
    repo.point("refs/heads/large", large);
    repo
}

#[test]
fn given_changes_of_two_sizes_when_compared_with_the_same_history_then_the_larger_stands_higher() {
    let repo = compared();
    let score = |head: &str| -> f64 { claim(&claims(&repo, "main", head), "risk-score").unwrap().parse().unwrap() };
    let (small, large) = (score("small"), score("large"));
    assert!(small < 0.6, "{small}");
    assert!(large > 0.97, "{large}");
}

#[test]
fn given_one_developer_who_gains_experience_when_a_change_is_like_all_others_then_it_is_in_the_middle() {
    let repo = Repo::new();
    let mut tip = repo.commit(&[], ALICE, 0, "Begin", &[is("a.rs", "0\n")]);
    let mut before = tip;
    for number in 1..=60_u32 {
        before = tip;
        tip = repo.commit(&[tip], ALICE, i64::from(number), "Work", &[is("a.rs", format!("{number}\n"))]);
    }
    repo.point("refs/heads/main", tip);
    let score: f64 = claim(&claims(&repo, &before.to_string(), "main"), "risk-score").unwrap().parse().unwrap();
    assert!((0.4..=0.6).contains(&score), "{score}");
}

#[test]
fn given_claims_when_firebreak_assesses_them_then_without_problems() {
    let repo = compared();
    for head in ["small", "large"] {
        let request =
            Request { change_url: Some("https://git.example.com/shop/pull/7".to_owned()), ..request(&repo, "main", head) };
        let claims = run(&request, &mut |_| {}).unwrap();
        let assessment = firebreak_engine::risk::assess(&claims.annotations);
        assert_eq!(assessment.problems, Vec::<String>::new(), "{head}");
        assert!(assessment.factors.iter().any(|factor| factor.name == "risk-score"), "{head}: {assessment:?}");
    }
}

#[test]
fn given_long_and_odd_names_and_messages_when_claimed_then_firebreak_still_reads_them() {
    let repo = Repo::new();
    let begin = repo.commit(&[], ALICE, 0, "Begin", &[is("a", "1\n")]);
    let mut tip = begin;
    for number in 0..60 {
        let author = format!("Developer with quite a long name number {number} ü <d{number}@example.com>");
        let message =
            format!("\u{1b}[31m{}\tred\u{7}\n\nReviewed-by: Reviewer {number} of many <r{number}@example.com>", "ü".repeat(400));
        tip = repo.commit(&[tip], &author, number, &message, &[is(&format!("f{number}"), "1\n")]);
    }
    repo.point("refs/heads/topic", tip);
    let claims = claims(&repo, &begin.to_string(), "topic");
    assert_eq!(firebreak_engine::risk::assess(&claims.annotations).problems, Vec::<String>::new());
    for (name, value) in &claims.annotations {
        assert!(value.len() <= 1024 && !value.contains(char::is_control), "{name}: {value}");
    }
    // 60 authors of some 64 bytes each: those that are named are named whole.
    let named: Vec<&str> = claim(&claims, "author").unwrap().split(", ").collect();
    assert!((10..20).contains(&named.len()) && named.iter().all(|name| name.ends_with("@example.com>")), "{named:?}");
    let note = format!("{} authors left out: a claim holds at most 1,024 bytes", 60 - named.len());
    assert!(claims.notes.contains(&note), "{:?}", claims.notes);
}

#[test]
fn given_claims_when_written_in_each_form_then_as_people_use_them() {
    let repo = compared();
    let request =
        Request { change_url: Some("https://git.example.com/shop/pull/7?a=1,2".to_owned()), ..request(&repo, "main", "large") };
    let claims = run(&request, &mut |_| {}).unwrap();
    insta::assert_snapshot!("patch", write(&claims, &Format::Patch).unwrap());
    insta::assert_snapshot!("kustomize", write(&claims, &Format::Kustomize).unwrap());
    insta::assert_snapshot!("helm", write(&claims, &Format::Helm { path: "podAnnotations".to_owned() }).unwrap());
    insta::assert_snapshot!("json", write(&claims, &Format::Json).unwrap());
}

#[test]
fn given_yaml_when_read_back_then_the_annotations_are_the_same_text() {
    let claims = claims(&compared(), "main", "large");
    for (format, place) in [(Format::Patch, "/metadata/annotations"), (Format::Kustomize, "/commonAnnotations")] {
        let yaml: serde_json::Value = serde_yaml_ng::from_str(&write(&claims, &format).unwrap()).unwrap();
        let read: BTreeMap<String, String> = serde_json::from_value(yaml.pointer(place).unwrap().clone()).unwrap();
        assert_eq!(read, claims.annotations);
    }
}

#[test]
fn given_reviewers_when_not_every_commit_names_one_then_no_review_is_claimed() {
    let repo = Repo::new();
    let begin = repo.commit(&[], ALICE, 0, "Begin", &[is("a", "1\n")]);
    let one = repo.commit(&[begin], BOB, 1, "One\n\nReviewed-by: Carol <carol@example.com>", &[is("a", "2\n")]);
    let two = repo.commit(&[one], BOB, 2, "Two", &[is("a", "3\n")]);
    let merge = repo.commit(
        &[begin, two],
        ALICE,
        3,
        "Merge\n\nApproved-by: Alice <alice@example.com>\nApproved-by: Carol <carol@example.com>",
        &[is("a", "3\n")],
    );
    repo.point("refs/heads/begin", begin);
    repo.point("refs/heads/one", one);
    repo.point("refs/heads/two", two);
    repo.point("refs/heads/merge", merge);
    assert_eq!(claim(&claims(&repo, "begin", "one"), "reviewed-by"), Some("Carol <carol@example.com>"));
    let both = claims(&repo, "begin", "two");
    assert_eq!(claim(&both, "reviewed-by"), None);
    assert!(both.notes.iter().any(|note| note.starts_with("1 of 2 commits name no human")), "{:?}", both.notes);
    assert_eq!(
        claim(&claims(&repo, "begin", "merge"), "reviewed-by"),
        Some("Carol <carol@example.com>"),
        "the merge speaks for all it brings"
    );
}

#[test]
fn given_a_merge_that_brought_a_part_of_the_change_when_it_names_a_reviewer_then_no_review_is_claimed() {
    let repo = Repo::new();
    let begin = repo.commit(&[], ALICE, 0, "Begin", &[is("a", "1\n")]);
    let main = repo.commit(&[begin], ALICE, 1, "Elsewhere", &[is("b", "1\n")]);
    let topic = repo.commit(&[begin], BOB, 2, "Topic", &[is("a", "2\n")]);
    let reviewed = "Merge main\n\nReviewed-by: Carol <carol@example.com>";
    let merge = repo.commit(&[topic, main], BOB, 3, reviewed, &[is("b", "1\n")]);
    repo.point("refs/heads/begin", begin);
    repo.point("refs/heads/main", main);
    repo.point("refs/heads/merge", merge);
    for base in ["main", "begin"] {
        let claims = claims(&repo, base, "merge");
        assert_eq!(claim(&claims, "reviewed-by"), None, "{base}");
        let note = "no commit names a human other than its authors in Reviewed-by or Approved-by (the merge does, but it did not \
                    bring all of them), so firebreak.dev/reviewed-by is not claimed";
        assert!(claims.notes.iter().any(|said| said == note), "{base}: {:?}", claims.notes);
    }
}

#[test]
fn given_a_merge_when_it_names_those_who_wrote_what_it_brought_then_they_are_no_reviewers() {
    let repo = Repo::new();
    let begin = repo.commit(&[], ALICE, 0, "Begin", &[is("a", "1\n")]);
    let one = repo.commit(&[begin], BOB, 1, "One\n\nCo-authored-by: Dan <dan@example.com>", &[is("a", "2\n")]);
    let two = repo.commit(&[one], CAROL, 2, "Two", &[is("a", "3\n")]);
    let merge = |reviewers: &str| {
        let merge = repo.commit(&[begin, two], ALICE, 3, &format!("Merge\n\n{reviewers}"), &[is("a", "3\n")]);
        let claims = claims(&repo, &begin.to_string(), &merge.to_string());
        (claim(&claims, "reviewed-by").map(str::to_owned), claims.notes)
    };
    let writers = "Reviewed-by: BOB <bob@home.example>\nReviewed-by: dan";
    let (by, notes) = merge(writers);
    assert_eq!(by, None, "nobody but its authors read the first");
    assert!(notes.iter().any(|note| note.starts_with("1 of 2 commits name no human other than their authors")), "{notes:?}");
    let (by, _) = merge(&format!("{writers}\nReviewed-by: Erin <erin@example.com>"));
    assert_eq!(by.as_deref(), Some("BOB <bob@home.example>, dan, Erin <erin@example.com>"), "the first two read Carol's");
}

#[test]
fn given_more_records_than_are_read_when_in_several_places_then_the_bound_is_over_all_of_them() {
    let repo = Repo::new();
    // Two of them are more than 16 MB.
    let record = |path: &str| {
        let contributor = r#"{"contributor":{"type":"ai"}}"#;
        format!(r#"{{"files":[{{"path":"{path}","conversations":[{contributor}]}}]}}{}"#, " ".repeat(9 << 20))
    };
    let begin = repo.commit(&[], ALICE, 0, "Begin", &[is("a.rs", "1\n")]);
    let files = [is("a.rs", "2\n"), is(".agent-trace/traces.json", record("a.rs"))];
    let head = repo.commit(&[begin], BOB, 1, "Folder", &files);
    repo.point("refs/heads/begin", begin);
    repo.point("refs/heads/head", head);
    assert_eq!(claim(&claims(&repo, "begin", "head"), "ai-contribution"), Some("ai"));
    let file = repo.folder.path().join("records.json");
    std::fs::write(&file, record("other.rs")).unwrap();
    let named = Request { records: Some(file.clone()), ..request(&repo, "begin", "head") };
    let both = run(&named, &mut |_| {}).unwrap();
    assert_eq!(claim(&both, "ai-contribution"), Some("unknown"));
    let note = "1 file of Agent Trace records not read: more than 16 MB of them, or more than 1,000 files in one place";
    assert!(both.notes.iter().any(|said| said == note), "{:?}", both.notes);
    std::fs::write(&file, " ".repeat((16 << 20) + 1)).unwrap();
    let error = run(&named, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("larger than 16 MB"), "{error}");
}

#[test]
fn given_agent_trace_records_when_in_the_folder_in_notes_or_named_then_they_tell_who_wrote_it() {
    let repo = Repo::new();
    let record = |revision: ObjectId, path: &str| {
        format!(
            r#"{{"version":"0.1.0","id":"x","timestamp":"2026-01-25T10:00:00Z","vcs":{{"type":"git","revision":"{revision}"}},"tool":{{"name":"cursor"}},"files":[{{"path":"{path}","conversations":[{{"contributor":{{"type":"ai"}},"ranges":[{{"start_line":1,"end_line":1}}]}}]}}]}}"#
        )
    };
    let begin = repo.commit(&[], ALICE, 0, "Begin", &[is("a.rs", "1\n")]);
    let plain = repo.commit(&[begin], BOB, 1, "Plain", &[is("a.rs", "2\n")]);
    // The tool recorded the commit that it worked on.
    let folder = repo.commit(
        &[begin],
        BOB,
        1,
        "Folder",
        &[is("a.rs", "3\n"), is(".agent-trace/traces.jsonl", record(begin, "a.rs") + "\n")],
    );
    let noted = repo.commit(&[begin], BOB, 1, "Noted", &[is("a.rs", "4\n"), is("b.rs", "4\n")]);
    repo.note("refs/notes/agent-trace", noted, &record(noted, "a.rs"));
    repo.point("refs/heads/begin", begin);
    repo.point("refs/heads/plain", plain);
    repo.point("refs/heads/folder", folder);
    repo.point("refs/heads/noted", noted);
    let contribution =
        |claims: &Claims| (claim(claims, "ai-contribution").unwrap().to_owned(), claim(claims, "ai-agents").map(str::to_owned));
    assert_eq!(contribution(&claims(&repo, "begin", "plain")), ("unknown".to_owned(), None));
    assert_eq!(contribution(&claims(&repo, "begin", "folder")), ("ai".to_owned(), Some("Cursor".to_owned())));
    assert_eq!(
        contribution(&claims(&repo, "begin", "noted")),
        ("mixed".to_owned(), Some("Cursor".to_owned())),
        "nothing is told of b.rs"
    );
    let file = repo.folder.path().join("records.json");
    std::fs::write(&file, record(plain, "a.rs")).unwrap();
    let named = run(&Request { records: Some(file), ..request(&repo, "begin", "plain") }, &mut |_| {}).unwrap();
    assert_eq!(contribution(&named), ("ai".to_owned(), Some("Cursor".to_owned())));
    let missing =
        run(&Request { records: Some("/nonexistent".into()), ..request(&repo, "begin", "plain") }, &mut |_| {}).unwrap_err();
    assert!(missing.to_string().contains("Agent Trace"), "{missing}");
}

#[test]
fn given_no_repository_when_read_then_where_to_run_it() {
    let folder = tempfile::tempdir().unwrap();
    let error = run(&Request { folder: folder.path().to_owned(), ..request(&known().0, "a", "b") }, &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::Open { .. }) && error.to_string().contains("Run this in a checkout"), "{error}");
}

#[test]
fn given_a_shallow_clone_when_read_then_what_to_fetch() {
    let (repo, _) = known();
    let tip = gix::open(repo.folder.path()).unwrap().rev_parse_single("main").unwrap().detach();
    std::fs::write(repo.folder.path().join(".git/shallow"), format!("{tip}\n")).unwrap();
    let error = refused(&repo, "main", "topic");
    assert!(error.contains("fetch-depth: 0") && error.contains("git fetch --unshallow"), "{error}");
}

#[test]
fn given_a_bare_repository_when_read_then_to_clone_it() {
    let folder = tempfile::tempdir().unwrap();
    gix::init_bare(folder.path()).unwrap();
    let error = run(&Request { folder: folder.path().to_owned(), ..request(&known().0, "a", "b") }, &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::Bare { .. }) && error.to_string().contains("git clone"), "{error}");
}

#[test]
fn given_an_unknown_revision_when_read_then_what_it_could_be() {
    let (repo, head) = known();
    repo.point("refs/remotes/origin/release", head);
    assert!(refused(&repo, "nowhere", "topic").starts_with("nowhere is no revision of this repository. Fetch it"));
    assert!(refused(&repo, "release", "topic").contains("(origin/release is one)"));
    assert!(refused(&repo, "main", "nowhere").starts_with("nowhere is no revision"));
}

#[test]
fn given_histories_that_never_met_when_read_then_it_is_said() {
    let (repo, _) = known();
    let other = repo.commit(&[], CAROL, 70, "Elsewhere", &[is("x", "1\n")]);
    repo.point("refs/heads/other", other);
    assert!(refused(&repo, "main", "other").starts_with("main and other have no commit in common"));
}

#[test]
fn given_nothing_between_two_revisions_when_read_then_what_to_name() {
    let (repo, _) = known();
    assert!(refused(&repo, "main", "main").contains("--base HEAD~1"));
    assert!(refused(&repo, "topic", "main").contains("no commit in topic..main"));
}

#[test]
fn given_an_object_that_is_missing_when_read_then_what_to_fetch() {
    let (repo, _) = known();
    let git = gix::open(repo.folder.path()).unwrap();
    let tree = git.rev_parse_single("topic:src/cart.rs").unwrap().to_string();
    std::fs::remove_file(repo.folder.path().join(".git/objects").join(&tree[..2]).join(&tree[2..])).unwrap();
    let error = refused(&repo, "main", "topic");
    assert!(error.contains("partial clone"), "{error}");
}

#[test]
fn given_an_address_that_is_none_when_asked_for_then_refused() {
    let (repo, _) = known();
    for url in ["git.example.com/7", "https://", "https://a b", "ftp://x"] {
        let error =
            run(&Request { change_url: Some(url.to_owned()), ..request(&repo, "main", "topic") }, &mut |_| {}).unwrap_err();
        assert!(matches!(error, Error::ChangeUrl(_)), "{url}");
    }
}
