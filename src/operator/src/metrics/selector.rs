//! PromQL series selectors, parsed so that matchers can be added where they bind.
//!
//! Adding text to a user's text would let `up or vector(1)` escape the added matchers; so only a plain selector of one counter is accepted, and
//! it is written anew from its parts. Names and values stay as the user wrote them, quotes included.
//! The grammar is Prometheus' own: `promql/parser/lex.go` (`lexInsideBraces`, `lexString`, `lexEscape`) and `generated_parser.y` (`vector_selector`).

use regex::RegexBuilder;

use super::trouble::Trouble;

/// Longest selector that is read, in bytes: four times what a Guard may hold.
const MAX_BYTES: usize = 4096;

/// Bytes of a compiled pattern, where it is asked whether it fits nothing.
const MAX_PATTERN_BYTES: usize = 1 << 16;

/// A plain selector of one counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector {
    name: String,
    matchers: Vec<Matcher>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Matcher {
    /// Name of the label.
    label: String,
    operator: Operator,
    /// Without its quotes and escapes; none where it has an escape that only Prometheus reads.
    value: Option<String>,
    /// As written: label, operator, quoted value.
    text: String,
}

impl Matcher {
    /// Whether it fits no series without the label, and not all with it.
    fn needs_the_label(&self) -> bool {
        let Some(value) = &self.value else { return matches!(self.operator, Operator::Equal | Operator::Like) };
        let pattern = || RegexBuilder::new(&format!("^(?s:{value})$")).size_limit(MAX_PATTERN_BYTES).build();
        // Such a pattern takes whatever is there, or also what is not.
        let anything = ["\u{1f}?", "0", "Zz-_."];
        let takes_any =
            || pattern().is_ok_and(|pattern| pattern.is_match("") || anything.iter().all(|text| pattern.is_match(text)));
        match self.operator {
            Operator::Equal => !value.is_empty(),
            Operator::Like => !takes_any(),
            Operator::Unequal | Operator::Unlike => false,
        }
    }
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    /// `=`.
    Equal,
    /// `!=`.
    Unequal,
    /// `=~`.
    Like,
    /// `!~`.
    Unlike,
}

impl Operator {
    const ALL: [(&'static str, Self); 4] = [("=~", Self::Like), ("!~", Self::Unlike), ("!=", Self::Unequal), ("=", Self::Equal)];
}

impl Selector {
    /// Reads `text`; `field` is the field of the signal that holds it.
    pub(crate) fn parse(field: &'static str, text: &str) -> Result<Self, Trouble> {
        if text.len() > MAX_BYTES {
            return Err(Trouble::BadSelector { field, detail: format!("longer than {MAX_BYTES} bytes") });
        }
        Parser { rest: text }.selector().map_err(|detail| Trouble::BadSelector { field, detail })
    }

    /// The same selector for `name` + `suffix`.
    pub(crate) fn suffixed(&self, suffix: &str) -> Self {
        Self { name: format!("{}{suffix}", self.name), matchers: self.matchers.clone() }
    }

    /// Whether it says something about `label`.
    pub(crate) fn has(&self, label: &str) -> bool {
        self.matchers.iter().any(|m| m.label == label)
    }

    /// The same counter with the labels it asks for, whatever they say: what there is where nothing fits the selector itself, but could.
    /// A label that may say anything but has to be there (`error_type!=""`) is that of failures alone, and is not asked for.
    pub(crate) fn relaxed(&self) -> Self {
        let there = |matcher: &Matcher| {
            let text = if is_legacy_name(&matcher.label) && !matcher.label.contains(':') {
                format!("{}!=\"\"", matcher.label)
            } else {
                format!("\"{}\"!=\"\"", matcher.label)
            };
            Matcher { label: matcher.label.clone(), operator: Operator::Unequal, value: Some(String::new()), text }
        };
        let matchers = self.matchers.iter().filter(|matcher| matcher.needs_the_label()).map(there);
        Self { name: self.name.clone(), matchers: matchers.collect() }
    }

    /// What it says of labels: name, comparison, value as in [`Matcher`].
    pub(crate) fn matchers(&self) -> impl Iterator<Item = (&str, Operator, Option<&str>)> {
        self.matchers.iter().map(|matcher| (matcher.label.as_str(), matcher.operator, matcher.value.as_deref()))
    }

    /// Name of the counter.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// PromQL of this selector and the matchers `more`.
    pub(crate) fn and(&self, more: &str) -> String {
        let mut inside: Vec<&str> = self.matchers.iter().map(|m| m.text.as_str()).collect();
        if !more.is_empty() {
            inside.push(more);
        }
        if is_legacy_name(&self.name) {
            format!("{}{{{}}}", self.name, inside.join(","))
        } else {
            let name = format!("\"{}\"", self.name);
            inside.insert(0, &name);
            format!("{{{}}}", inside.join(","))
        }
    }
}

fn is_legacy_name(name: &str) -> bool {
    name.starts_with(starts_name) && name.chars().all(continues_name)
}

const fn starts_name(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '_' | ':')
}

const fn continues_name(c: char) -> bool {
    starts_name(c) || c.is_ascii_digit()
}

const RAW: &str =
    "give the selector of the raw counter, for example http_requests_total{code=~\"5..\"}; Firebreak works out increases itself";

struct Parser<'t> {
    rest: &'t str,
}

impl<'t> Parser<'t> {
    fn selector(mut self) -> Result<Selector, String> {
        self.skip_space();
        let mut name = self.take(starts_name, continues_name).map(str::to_owned);
        self.skip_space();
        if name.is_some() && self.rest.starts_with('(') {
            return Err(format!("a function or an aggregation is no series selector: {RAW}"));
        }
        let matchers = if self.eat("{") { self.matchers(&mut name)? } else { Vec::new() };
        self.skip_space();
        self.end()?;
        match name {
            Some(name) => Ok(Selector { name, matchers }),
            None => Err(format!("it names no counter: {RAW}")),
        }
    }

    fn end(&self) -> Result<(), String> {
        let lower = self.rest.get(..6).map(str::to_ascii_lowercase);
        match self.rest.chars().next() {
            None => Ok(()),
            Some('[') => Err(format!("a range such as [5m] does not belong here: {RAW}")),
            Some('@') => Err(format!("@ does not belong here: {RAW}")),
            Some(_) if lower.as_deref() == Some("offset") => Err(format!("offset does not belong here: {RAW}")),
            Some(c) => Err(format!("unexpected {c:?}; an expression is no series selector: {RAW}")),
        }
    }

    fn matchers(&mut self, name: &mut Option<String>) -> Result<Vec<Matcher>, String> {
        let mut matchers = Vec::new();
        loop {
            self.skip_space();
            if self.eat("}") {
                return Ok(matchers);
            }
            if self.rest.is_empty() {
                return Err("the closing brace is missing".to_owned());
            }
            if let Some(matcher) = self.matcher(name)? {
                matchers.push(matcher);
            }
            self.skip_space();
            if !self.eat(",") && !self.rest.starts_with('}') {
                return Err(match self.rest.chars().next() {
                    Some(c) => format!(
                        "unexpected {c:?} between the braces: matchers look like code=~\"5..\" and are separated by commas"
                    ),
                    None => "the closing brace is missing".to_owned(),
                });
            }
        }
    }

    /// One matcher; `None` if it was the counter's name.
    fn matcher(&mut self, name: &mut Option<String>) -> Result<Option<Matcher>, String> {
        let (label, label_text) = match self.rest.chars().next() {
            Some(quote @ ('"' | '\'' | '`')) => {
                let text = self.quoted(quote)?;
                (plain(text)?, text)
            }
            _ => {
                let word = self.take(|c| starts_name(c) && c != ':', |c| continues_name(c) && c != ':');
                let word = word.ok_or("a label name is missing between the braces: matchers look like code=~\"5..\"")?;
                (word, word)
            }
        };
        self.skip_space();
        let Some((operator, kind)) = Operator::ALL.into_iter().find(|(text, _)| self.eat(text)) else {
            if label_text == label {
                return Err(format!("one of = != =~ !~ must follow the label {label}"));
            }
            set_name(name, label)?;
            return Ok(None);
        };
        self.skip_space();
        let value = match self.rest.chars().next() {
            Some(quote @ ('"' | '\'' | '`')) => self.quoted(quote)?,
            _ => return Err(format!("the value of {label} must stand in quotes")),
        };
        if label == "__name__" {
            if operator != "=" {
                return Err(format!("name exactly one counter, with = : {RAW}"));
            }
            set_name(name, plain(value)?)?;
            return Ok(None);
        }
        let text = format!("{label_text}{operator}{value}");
        Ok(Some(Matcher { label: label.to_owned(), operator: kind, value: unquoted(value), text }))
    }

    /// A string as written, quotes included.
    fn quoted(&mut self, quote: char) -> Result<&'t str, String> {
        let text = self.rest;
        let mut inside = Parser { rest: text.strip_prefix(quote).unwrap_or(text) };
        loop {
            let Some(c) = inside.next() else { return Err(format!("a closing {quote} is missing")) };
            match c {
                _ if c == quote => break,
                '\\' if quote != '`' => inside.escape(quote)?,
                '\n' if quote != '`' => return Err(format!("a line break before the closing {quote}")),
                _ => {}
            }
        }
        self.rest = inside.rest;
        Ok(text.get(..text.len() - inside.rest.len()).unwrap_or(text))
    }

    /// What may follow a backslash.
    fn escape(&mut self, quote: char) -> Result<(), String> {
        let (radix, digits, most) = match self.next() {
            Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\') => return Ok(()),
            Some(c) if c == quote => return Ok(()),
            Some(c @ '0'..='7') => {
                let octal: String = std::iter::once(c).chain(self.rest.chars().take(2)).collect();
                self.rest = self.rest.get(octal.len() - 1..).unwrap_or_default();
                return in_range(&octal, 3, 8, 0xff);
            }
            Some('x') => (16, 2, 0xff),
            Some('u') => (16, 4, 0xffff),
            Some('U') => (16, 8, 0x0010_ffff),
            Some(c) => {
                return Err(format!(
                    "\\{c} is no escape; a backslash in a regular expression is written \\\\, or the value stands in backticks"
                ));
            }
            None => return Err("the text ends after a backslash".to_owned()),
        };
        let number: String = self.rest.chars().take(digits).collect();
        self.rest = self.rest.get(number.len()..).unwrap_or_default();
        in_range(&number, digits, radix, most)
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
        Some(c)
    }

    fn eat(&mut self, token: &str) -> bool {
        self.rest.strip_prefix(token).map(|rest| self.rest = rest).is_some()
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, first: impl Fn(char) -> bool, more: impl Fn(char) -> bool) -> Option<&'t str> {
        let text = self.rest;
        if !text.starts_with(first) {
            return None;
        }
        self.rest = text.trim_start_matches(more);
        text.get(..text.len() - self.rest.len())
    }
}

/// The text of a quoted value; none where it has an escape other than the usual ones.
fn unquoted(quoted: &str) -> Option<String> {
    let inside = quoted.get(1..quoted.len().checked_sub(1)?)?;
    if quoted.starts_with('`') {
        return Some(inside.to_owned());
    }
    let mut text = String::new();
    let mut characters = inside.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => match characters.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                escaped @ ('\\' | '"' | '\'') => escaped,
                _ => return None,
            },
            other => other,
        });
    }
    Some(text)
}

fn in_range(digits: &str, count: usize, radix: u32, most: u32) -> Result<(), String> {
    let whole = digits.len() == count && digits.chars().all(|c| c.is_digit(radix));
    let code = whole.then(|| u32::from_str_radix(digits, radix).ok()).flatten();
    match code {
        Some(code) if code <= most && !(most > 0xff && (0xd800..0xe000).contains(&code)) => Ok(()),
        _ => Err(format!("{digits:?} is no character number after a backslash")),
    }
}

/// The inside of a quoted name. Names with escapes are refused, so that a suffix can be added to them as they stand.
fn plain(quoted: &str) -> Result<&str, String> {
    let inside = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    if inside.is_empty() || inside.contains(['\\', '"', '\n']) {
        return Err(format!(
            "the name {quoted} is empty or has escapes, quotes or line breaks, which are not supported in names"
        ));
    }
    Ok(inside)
}

fn set_name(name: &mut Option<String>, found: &str) -> Result<(), String> {
    match name.replace(found.to_owned()) {
        None => Ok(()),
        Some(before) => Err(format!("it names two counters, {before} and {found}: name exactly one")),
    }
}
