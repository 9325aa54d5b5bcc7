//! The measures of a change, each with its definition and unit, and which way it points.
//!
//! Those with a symbol are the change measures of Kamei, Shihab, Adams, Hassan, Mockus, Sinha and Ubayashi, "A Large-Scale
//! Empirical Study of Just-in-Time Quality Assurance", IEEE Transactions on Software Engineering 39(6), 2013, in its five
//! dimensions. Ownership is after Bird, Nagappan, Murphy, Gall and Devanbu, "Don't Touch My Code!", ESEC/FSE 2011.
//! "Before" means: in the history that was read, up to where the change began. Merges are no changes of their own.

use std::collections::BTreeMap;

use crate::words::{count, days, number};

/// One measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// NS: subsystems touched, the distinct first folders of the touched files' paths (the root is one). Count.
    Subsystems,
    /// ND: directories touched, the distinct folders that hold touched files. Count.
    Directories,
    /// NF: files touched: added, changed, deleted or renamed; vendored ones are left out. Count.
    Files,
    /// Entropy of the change over its files, after Hassan: -Σ p log2 p with p each file's share of the lines added and deleted,
    /// divided by log2 of the number of files with such lines. From 0 (all in one file) to 1 (the same in each). No unit.
    Entropy,
    /// LA: lines added. Lines; those of vendored, lock and generated files, of binary files and of files above
    /// [`crate::LARGEST_FILE`] are left out.
    LinesAdded,
    /// LD: lines deleted. Lines, counted like LA.
    LinesDeleted,
    /// LT: lines that the touched files had before the change, as the mean over the files (the sum, divided by NF). Lines; a new
    /// file had none.
    LinesBefore,
    /// FIX: whether the change says that it fixes something: `fix`, `bug`, `defect`, `hotfix`, `regression` and their forms in the
    /// first line of a commit, or a line `Fixes:`. 0 or 1.
    Fix,
    /// NDEV: developers who changed the touched files before. Count.
    Developers,
    /// AGE: time since the touched files were last changed, as the mean over those that were changed before. Days; absent where all
    /// are new. What was changed lately is likelier to break again, so a low age is the risk.
    Age,
    /// NUC: earlier changes of the touched files, each counted once however many of them it touched. Count of commits.
    EarlierChanges,
    /// Ownership spread: 1 less the share of the developer who made most of the earlier changes of the touched files. From 0
    /// (one owner) towards 1 (nobody's). No unit; absent where all files are new.
    OwnershipSpread,
    /// EXP: changes that the author made before. Count of commits; few are the risk.
    Experience,
    /// REXP: the same, each change weighted by 1 / (1 + its age in years), so that what is recent counts more. Weighted count;
    /// little is the risk.
    RecentExperience,
    /// SEXP: changes that the author made before in the subsystems that are touched. Count; few are the risk.
    SubsystemExperience,
    /// Whether code is touched and no test. 0 or 1.
    WithoutTests,
    /// Whether a migration is touched: a change of stored data, which going back to the older version does not undo. 0 or 1.
    Migrations,
    /// Whether configuration or a dependency is touched. 0 or 1.
    Configuration,
}

/// Which way a measure points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// More of it, more risk.
    Rises,
    /// More of it, less risk.
    Falls,
}

/// What a measure is about; each dimension has the same weight in the score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// How far the change is spread.
    Diffusion,
    /// How large it is.
    Size,
    /// What happened to its files before.
    History,
    /// How well its author knows the ground.
    Experience,
    /// What it is for and what it touches.
    Content,
}

use Measure::{
    Age, Configuration, Developers, Directories, EarlierChanges, Entropy, Experience, Files, Fix, LinesAdded, LinesBefore,
    LinesDeleted, Migrations, OwnershipSpread, RecentExperience, SubsystemExperience, Subsystems, WithoutTests,
};

impl Measure {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 18] = [
        Subsystems,
        Directories,
        Files,
        Entropy,
        LinesAdded,
        LinesDeleted,
        LinesBefore,
        Developers,
        Age,
        EarlierChanges,
        OwnershipSpread,
        Experience,
        RecentExperience,
        SubsystemExperience,
        Fix,
        WithoutTests,
        Migrations,
        Configuration,
    ];

    /// Its name in the output for machines.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Its symbol in Kamei et al., where it is one of theirs.
    #[must_use]
    pub fn symbol(self) -> Option<&'static str> {
        Some(self.row().1).filter(|symbol| !symbol.is_empty())
    }

    /// Its unit.
    #[must_use]
    pub fn unit(self) -> &'static str {
        self.row().2
    }

    /// What it is, in a sentence.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        self.row().3
    }

    /// Name, symbol, unit, explanation.
    fn row(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Subsystems => ("subsystems", "NS", "subsystems", "distinct first folders of the touched files"),
            Directories => ("directories", "ND", "directories", "distinct folders that hold touched files"),
            Files => ("files", "NF", "files", "files added, changed, deleted or renamed, without vendored ones"),
            Entropy => (
                "entropy",
                "Entropy",
                "0 to 1",
                "how evenly the changed lines are spread over the files: 0 all in one, 1 the same in each",
            ),
            LinesAdded => ("linesAdded", "LA", "lines", "lines added, without vendored, lock, generated and binary files"),
            LinesDeleted => ("linesDeleted", "LD", "lines", "lines deleted, without vendored, lock, generated and binary files"),
            LinesBefore => ("linesBefore", "LT", "lines", "lines that a touched file had before, on average"),
            Fix => ("fix", "FIX", "0 or 1", "whether the messages say that something is fixed"),
            Developers => (
                "developers",
                "NDEV",
                "developers",
                "developers who changed the touched files before; compared as a share of all developers so far",
            ),
            Age => ("age", "AGE", "days", "time since the touched files were last changed, on average; recent is riskier"),
            EarlierChanges => (
                "earlierChanges",
                "NUC",
                "commits",
                "earlier commits that changed the touched files; compared as a share of all commits so far",
            ),
            OwnershipSpread => (
                "ownershipSpread",
                "",
                "0 to 1",
                "share of the touched files' earlier changes that their main developer did not make",
            ),
            Experience => (
                "experience",
                "EXP",
                "commits",
                "commits that the author made before; compared as a share of all so far, few are riskier",
            ),
            RecentExperience => (
                "recentExperience",
                "REXP",
                "weighted commits",
                "the author's earlier commits, each divided by 1 + its age in years; compared as a share of all so far, little is riskier",
            ),
            SubsystemExperience => (
                "subsystemExperience",
                "SEXP",
                "commits",
                "the author's earlier commits in the touched subsystems; compared as a share of all commits so far, few are riskier",
            ),
            WithoutTests => ("withoutTests", "", "0 or 1", "whether code is touched and no test"),
            Migrations => ("migrations", "", "0 or 1", "whether a migration is touched"),
            Configuration => ("configuration", "", "0 or 1", "whether configuration or a dependency is touched"),
        }
    }

    /// Which way it points.
    #[must_use]
    pub fn direction(self) -> Direction {
        match self {
            Age | Experience | RecentExperience | SubsystemExperience => Direction::Falls,
            _ => Direction::Rises,
        }
    }

    /// What it is about.
    #[must_use]
    pub fn dimension(self) -> Dimension {
        match self {
            Subsystems | Directories | Files | Entropy => Dimension::Diffusion,
            LinesAdded | LinesDeleted | LinesBefore => Dimension::Size,
            Developers | Age | EarlierChanges | OwnershipSpread => Dimension::History,
            Experience | RecentExperience | SubsystemExperience => Dimension::Experience,
            Fix | WithoutTests | Migrations | Configuration => Dimension::Content,
        }
    }

    /// Whether it is yes or no.
    #[must_use]
    pub fn is_flag(self) -> bool {
        self.unit() == "0 or 1"
    }

    /// A value of it in words, as a reason for concern.
    #[must_use]
    pub fn words(self, value: f64) -> String {
        match self {
            Subsystems => format!("{} touched", count(value, "subsystem")),
            Directories => format!("{} touched", count(value, "directory")),
            Files => format!("{} touched", count(value, "file")),
            Entropy => format!("spread over its files with an entropy of {}", number(value)),
            LinesAdded => format!("{} added", count(value, "line")),
            LinesDeleted => format!("{} deleted", count(value, "line")),
            LinesBefore => format!("{} in a touched file before, on average", count(value, "line")),
            Fix => "says that it fixes something".to_owned(),
            Developers => format!("{} changed its files before", count(value, "developer")),
            Age => format!("its files were last changed {} before, on average", days(value)),
            EarlierChanges => format!("{} of its files", count(value, "earlier change")),
            OwnershipSpread => format!("{} % of the earlier changes are not by its files' main developer", number(value * 100.0)),
            Experience => format!("only {} by its author", count(value, "earlier commit")),
            RecentExperience => format!("the author's recent experience is only {}", number(value)),
            SubsystemExperience => format!("only {} by its author in the touched subsystems", count(value, "earlier commit")),
            WithoutTests => "code is touched and no test".to_owned(),
            Migrations => "touches a migration".to_owned(),
            Configuration => "touches configuration or dependencies".to_owned(),
        }
    }
}

/// The measures of one change. A measure that cannot be taken is absent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Measures(BTreeMap<Measure, Value>);

/// A value, and what it is ranked by.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Value {
    value: f64,
    ranked: f64,
}

impl Measures {
    /// The value, where it was taken.
    #[must_use]
    pub fn get(&self, measure: Measure) -> Option<f64> {
        self.0.get(&measure).map(|value| value.value)
    }

    /// What the change is compared by: the value, or its share of the history so far where it grows with the history.
    #[must_use]
    pub fn ranked(&self, measure: Measure) -> Option<f64> {
        self.0.get(&measure).map(|value| value.ranked)
    }

    /// Sets a value. One that is no finite number is as good as none, and is not kept.
    pub fn set(&mut self, measure: Measure, value: f64) {
        self.set_both(measure, value, value);
    }

    /// Sets a value that grows with the history, and with it all that the history has of it so far. Compared as it is, each
    /// change would have a more experienced author, and files changed more often, than those before it.
    pub fn set_of(&mut self, measure: Measure, value: f64, all: f64) {
        self.set_both(measure, value, if all > 0.0 { value / all } else { 0.0 });
    }

    fn set_both(&mut self, measure: Measure, value: f64, ranked: f64) {
        if value.is_finite() && ranked.is_finite() {
            // An empty sum is -0.
            self.0.insert(measure, Value { value: value + 0.0, ranked: ranked + 0.0 });
        } else {
            self.0.remove(&measure);
        }
    }
}

impl FromIterator<(Measure, f64)> for Measures {
    fn from_iter<T: IntoIterator<Item = (Measure, f64)>>(values: T) -> Self {
        let mut measures = Self::default();
        for (measure, value) in values {
            measures.set(measure, value);
        }
        measures
    }
}
