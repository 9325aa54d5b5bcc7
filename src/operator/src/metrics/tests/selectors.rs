//! What is a series selector, and what is refused with which advice.

use proptest::prelude::*;
use rstest::rstest;

use super::latency;
use crate::metrics::{
    SignalShape, Trouble,
    selector::Selector,
    shape::{Selectors, validate},
};

const PODS: &str = r#"namespace=~"shop",pod=~"(?:web-)[a-z0-9]{5}""#;

#[rstest]
#[case::a_name("http_requests_total", "http_requests_total{PODS}")]
#[case::colons("job:requests:total", "job:requests:total{PODS}")]
#[case::empty_braces("a_total{}", "a_total{PODS}")]
#[case::matchers(r#"a_total{code=~"5..",path!="/"}"#, r#"a_total{code=~"5..",path!="/",PODS}"#)]
#[case::all_operators(r#"a{b="1",c!="2",d=~"3",e!~"4"}"#, r#"a{b="1",c!="2",d=~"3",e!~"4",PODS}"#)]
#[case::spaces_and_a_trailing_comma(" a \n{ b = \"1\" ,\tc !~ '2' , } ", r#"a{b="1",c!~'2',PODS}"#)]
#[case::braces_and_commas_in_values(r#"a{b="}, or vector(1) #"}"#, r#"a{b="}, or vector(1) #",PODS}"#)]
#[case::escapes(r#"a{b="\"\\\x41\u00e9\U0001F600\101\n"}"#, r#"a{b="\"\\\x41\u00e9\U0001F600\101\n",PODS}"#)]
#[case::single_quotes(r#"a{b='"\''}"#, r#"a{b='"\'',PODS}"#)]
#[case::backticks("a{b=`\\d+\n\"'`}", "a{b=`\\d+\n\"'`,PODS}")]
#[case::own_pods(r#"a{namespace="x",pod="y"}"#, r#"a{namespace="x",pod="y",PODS}"#)]
#[case::name_as_a_matcher(r#"{__name__="a_total",b="1"}"#, r#"a_total{b="1",PODS}"#)]
#[case::utf8_name(r#"{"http.requests",b="1"}"#, r#"{"http.requests",b="1",PODS}"#)]
#[case::utf8_name_elsewhere(r#"{b="1", 'http.requests'}"#, r#"{"http.requests",b="1",PODS}"#)]
#[case::utf8_label(r#"a{"http.code"=~"5.."}"#, r#"a{"http.code"=~"5..",PODS}"#)]
#[case::non_ascii_value("a{b=\"é…\"}", "a{b=\"é…\",PODS}")]
fn given_a_plain_selector_when_matchers_are_added_then_it_keeps_its_own(#[case] text: &str, #[case] expected: &str) {
    let selector = Selector::parse("requests", text).unwrap();
    assert_eq!(selector.and(PODS), expected.replace("PODS", PODS));
}

#[rstest]
#[case::nothing("", "names no counter")]
#[case::no_name(r#"{code="500"}"#, "names no counter")]
#[case::rate("rate(http_requests_total[5m])", "raw counter")]
#[case::aggregation("sum (http_requests_total)", "raw counter")]
#[case::aggregation_by("sum by (pod) (http_requests_total)", "raw counter")]
#[case::range("http_requests_total[5m]", "range such as [5m]")]
#[case::range_after_braces("http_requests_total{a=\"b\"}[5m]", "range such as [5m]")]
#[case::offset("http_requests_total offset 5m", "offset does not belong here")]
#[case::capital_offset("http_requests_total{} OFFSET 5m", "offset does not belong here")]
#[case::at("http_requests_total @ 1700000000", "@ does not belong here")]
#[case::expression("a_total or b_total", "expression")]
#[case::arithmetic("a_total * 2", "expression")]
#[case::comment("a_total # all", "expression")]
#[case::second_braces("a_total{}{}", "expression")]
#[case::parentheses("(a_total)", "expression")]
#[case::a_number("1", "expression")]
#[case::a_digit_first("5xx_total", "expression")]
#[case::open_brace("a_total{", "closing brace")]
#[case::open_brace_after_a_matcher(r#"a_total{b="1""#, "closing brace")]
#[case::no_comma(r#"a_total{b="1" c="2"}"#, "separated by commas")]
#[case::or_between_matchers(r#"a_total{b="1" or c="2"}"#, "separated by commas")]
#[case::no_label("a_total{,}", "label name is missing")]
#[case::no_operator(r#"a_total{b"1"}"#, "must follow the label b")]
#[case::double_equals(r#"a_total{b=="1"}"#, "must stand in quotes")]
#[case::no_quotes("a_total{code=500}", "must stand in quotes")]
#[case::open_quote(r#"a_total{code="5}"#, "closing \" is missing")]
#[case::open_backtick("a_total{code=`5}", "closing ` is missing")]
#[case::line_break("a_total{code=\"5\n\"}", "line break")]
#[case::escape(r#"a_total{code=~"\d+"}"#, "backticks")]
#[case::other_quote_escaped(r#"a_total{code="\'"}"#, "backticks")]
#[case::short_hex(r#"a_total{code="\x4"}"#, "character number")]
#[case::signed_hex(r#"a_total{code="\x+4"}"#, "character number")]
#[case::large_octal(r#"a_total{code="\777"}"#, "character number")]
#[case::surrogate(r#"a_total{code="\ud800"}"#, "character number")]
#[case::beyond_unicode(r#"a_total{code="\U00110000"}"#, "character number")]
#[case::ends_after_backslash("a_total{code=\"\\", "ends after a backslash")]
#[case::name_pattern(r#"{__name__=~"a|b"}"#, "exactly one counter")]
#[case::two_names(r#"a_total{__name__="b_total"}"#, "two counters, a_total and b_total")]
#[case::two_quoted_names(r#"{"a","b"}"#, "two counters")]
#[case::escape_in_a_name(r#"{"a\"b"}"#, "not supported in names")]
fn given_no_plain_selector_when_parsed_then_the_message_says_what_to_write(#[case] text: &str, #[case] advice: &str) {
    let Err(Trouble::BadSelector { field: "failures", detail }) = Selector::parse("failures", text) else {
        panic!("accepted {text}")
    };
    assert!(detail.contains(advice), "{detail}");
}

#[test]
fn given_a_selector_longer_than_any_guard_may_hold_when_parsed_then_it_is_refused() {
    assert!(Selector::parse("requests", &format!("a{{b=\"{}\"}}", "x".repeat(5000))).is_err());
}

#[rstest]
#[case::suffix("latency_seconds_bucket", 300, "histogram", "without suffix: latency_seconds")]
#[case::edge_label("latency_seconds{le=\"0.3\"}", 300, "histogram", "leave out the label le")]
#[case::no_edge("latency_seconds", 0, "slowerThan", "from 1ms on")]
#[case::edge_that_is_written_with_an_exponent("latency_seconds", 1_000_000_000, "slowerThan", "up to 11 days")]
#[case::function("histogram_quantile(0.9, latency_seconds)", 300, "histogram", "raw counter")]
fn given_a_bad_histogram_when_validated_then_field_and_advice_are_named(
    #[case] histogram: &str,
    #[case] edge_ms: u64,
    #[case] field: &str,
    #[case] advice: &str,
) {
    let trouble = validate(&SignalShape::Histogram { histogram: histogram.into(), edge_ms }).unwrap_err();
    assert!(trouble.to_string().starts_with(field) && trouble.to_string().contains(advice), "{trouble}");
}

#[test]
fn given_a_good_histogram_when_validated_then_it_is_accepted() {
    validate(&latency()).unwrap();
    assert!(matches!(Selectors::parse(&latency()), Ok(Selectors::Histogram { edge_ms: 300, .. })));
}

fn quoted() -> impl Strategy<Value = String> {
    prop_oneof![
        "[^\"\\\\\n]{0,12}".prop_map(|s| format!("\"{s}\"")),
        "[^'\\\\\n]{0,12}".prop_map(|s| format!("'{s}'")),
        "[^`]{0,12}".prop_map(|s| format!("`{s}`")),
        Just(r#""\\\"\n\x7f""#.to_owned()),
    ]
}

proptest! {
    #[test]
    fn given_any_text_when_parsed_then_nothing_panics_and_what_is_accepted_is_read_alike_again(text in "\\PC{0,40}|[a-z{}=~!\"'`,\\\\ \\[\\]0-9]{0,40}") {
        if let Ok(selector) = Selector::parse("requests", &text) {
            prop_assert_eq!(Selector::parse("requests", &selector.and("")).unwrap(), selector);
        }
    }

    #[test]
    fn given_any_selector_when_matchers_are_added_then_they_end_it_and_all_matchers_survive(
        name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,8}",
        matchers in prop::collection::vec(("[a-zA-Z]{1,6}", prop::sample::select(vec!["=", "!=", "=~", "!~"]), quoted()), 0..5),
    ) {
        let own: Vec<String> = matchers.iter().map(|(label, operator, value)| format!("{label}{operator}{value}")).collect();
        let selector = Selector::parse("requests", &format!("{name}{{{}}}", own.join(", "))).unwrap();
        let whole = selector.and(PODS);
        let end = format!("{PODS}}}");
        prop_assert!(whole.ends_with(&end));
        // Read anew, the added matchers are matchers, not text inside a value.
        let again = Selector::parse("requests", &whole).unwrap();
        prop_assert!(again.has("namespace") && again.has("pod"));
        prop_assert_eq!(again.and(""), format!("{name}{{{}}}", own.iter().map(String::as_str).chain([PODS]).collect::<Vec<_>>().join(",")));
    }
}

#[rstest]
#[case::a_code("x{code=~\"5..\"}", "x{code!=\"\"}")]
#[case::several("x{code=\"500\",path=~\"/a.*\",ok=\"false\"}", "x{code!=\"\",path!=\"\",ok!=\"\"}")]
#[case::what_fits_a_label_that_is_not_there("x{code!=\"200\",path!~\"/a\",zone=\"\",kind=~\"a|\"}", "x{}")]
#[case::of_failures_alone("x{error_type!=\"\"}", "x{}")]
#[case::of_failures_alone_by_a_pattern("x{error_type=~\".+\"}", "x{}")]
#[case::a_quoted_label("{\"x.y\",\"a.b\"=\"c\"}", "{\"x.y\",\"a.b\"!=\"\"}")]
#[case::bare("x_errors_total", "x_errors_total{}")]
fn given_a_selector_when_relaxed_then_it_asks_for_its_labels_alone(#[case] text: &str, #[case] relaxed: &str) {
    assert_eq!(Selector::parse("failures", text).unwrap().relaxed().and(""), relaxed);
}
