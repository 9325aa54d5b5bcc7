//! How things look: colours, glyphs, the time zone. Colour only repeats what the words say.

use std::io::IsTerminal as _;

use firebreak_api::change::Phase;
use jiff::tz::TimeZone;
use ratatui::style::{Color, Modifier, Style};

/// How things look here and now.
#[derive(Clone, Debug)]
pub struct Look {
    /// Whether colours may be used.
    pub color: bool,
    /// The signs in use.
    pub glyphs: &'static Glyphs,
    /// Time zone of the times shown.
    pub zone: TimeZone,
}

/// The signs in use.
#[derive(Debug)]
#[allow(missing_docs)] // the names say it
pub struct Glyphs {
    pub full: &'static str,
    pub empty: &'static str,
    pub rule: &'static str,
    pub done: &'static str,
    pub current: &'static str,
    pub stopped: &'static str,
    pub ahead: &'static str,
    pub approval: &'static str,
    pub dot: &'static str,
    pub ellipsis: &'static str,
    pub up: &'static str,
    pub down: &'static str,
    pub arrow: &'static str,
    pub levels: [&'static str; 8],
    pub braille: bool,
    pub upright: &'static str,
    pub corner: &'static str,
    pub dashed: &'static str,
}

static UNICODE: Glyphs = Glyphs {
    full: "█",
    empty: "░",
    rule: "─",
    done: "✓",
    current: "●",
    stopped: "✗",
    ahead: "○",
    approval: "⚑",
    dot: "·",
    ellipsis: "…",
    up: "↑",
    down: "↓",
    arrow: "→",
    levels: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    braille: true,
    upright: "│",
    corner: "└",
    dashed: "╌",
};

static ASCII: Glyphs = Glyphs {
    full: "#",
    empty: ".",
    rule: "-",
    done: "+",
    current: "*",
    stopped: "x",
    ahead: "o",
    approval: "!",
    dot: "|",
    ellipsis: "~",
    up: "^",
    down: "v",
    arrow: "->",
    levels: ["_", "_", ".", ".", "-", "-", "=", "#"],
    braille: false,
    upright: "|",
    corner: "+",
    dashed: "-",
};

impl Look {
    /// The look for standard output: colours on a terminal unless `NO_COLOR` says otherwise, ASCII where the locale or
    /// the terminal has no more, the machine's time zone.
    #[must_use]
    pub fn of_stdout() -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        let narrow_locale = locale.is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            !locale.contains("utf-8") && !locale.contains("utf8")
        });
        let narrow_terminal = set("TERM").is_some_and(|term| matches!(term.as_str(), "linux" | "dumb" | "vt100"));
        Self {
            color: std::io::stdout().is_terminal() && set("NO_COLOR").is_none() && set("TERM").as_deref() != Some("dumb"),
            glyphs: if narrow_locale || narrow_terminal { &ASCII } else { &UNICODE },
            zone: TimeZone::system(),
        }
    }

    /// A look that is the same everywhere: no colour, all signs, UTC.
    #[must_use]
    pub fn plain() -> Self {
        Self { color: false, glyphs: &UNICODE, zone: TimeZone::UTC }
    }

    /// A text of ours with signs that this look has: its arrows are drawn anew.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        text.replace(UNICODE.arrow, self.glyphs.arrow)
    }

    /// The same with ASCII signs only.
    #[must_use]
    pub fn ascii(self) -> Self {
        Self { glyphs: &ASCII, ..self }
    }

    fn with(&self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }

    /// What matters most.
    #[must_use]
    pub fn strong(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What matters least.
    #[must_use]
    pub fn faint(&self) -> Style {
        if self.color { Style::new().fg(Color::DarkGray) } else { Style::new().add_modifier(Modifier::DIM) }
    }

    /// A command to type.
    #[must_use]
    pub fn command(&self) -> Style {
        self.with(Color::Cyan)
    }

    /// Something that is well.
    #[must_use]
    pub fn good(&self) -> Style {
        self.with(Color::Green)
    }

    /// Something to know.
    #[must_use]
    pub fn warn(&self) -> Style {
        self.with(Color::Yellow)
    }

    /// Something bad.
    #[must_use]
    pub fn bad(&self) -> Style {
        self.with(Color::Red)
    }

    /// A phase.
    #[must_use]
    pub fn phase(&self, phase: Phase) -> Style {
        let style = match phase {
            Phase::Promoted => self.good(),
            Phase::RollingBack | Phase::RolledBack => self.bad(),
            Phase::Held | Phase::Superseded | Phase::Withdrawn => self.warn(),
            Phase::Preparing | Phase::Progressing | Phase::Baking | Phase::Promoting => self.with(Color::Cyan),
        };
        style.add_modifier(Modifier::BOLD)
    }

    /// A risk level.
    #[must_use]
    pub fn level(&self, level: &str) -> Style {
        match level {
            "low" => self.good(),
            "medium" => self.warn(),
            _ => self.bad(),
        }
    }

    /// Harm evidence at a share of what is needed.
    #[must_use]
    pub fn harm(&self, share: f64) -> Style {
        if share >= 0.8 {
            self.bad()
        } else if share >= 0.35 {
            self.warn()
        } else {
            self.good()
        }
    }
}
