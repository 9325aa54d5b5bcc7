//! What is known of files and developers at one point of the history, and the measures of a change at that point. Commits
//! are entered oldest first, in the order in which the branch took them.

use std::collections::{BTreeSet, HashMap};

use crate::{
    history::{Developer, FileId, History, Past},
    lines::Counted,
    measure::{Measure, Measures},
    paths::{Kind, directory, subsystem},
    words::{DAY, YEAR, float},
};

/// A commit's place in the order in which they were entered.
type Serial = u32;

/// A change that is to be measured.
pub(crate) struct Subject<'a> {
    /// None where nothing of its author is known.
    pub(crate) author: Option<Developer>,
    /// When it was made, in seconds since 1970.
    pub(crate) time: i64,
    pub(crate) fix: bool,
    pub(crate) files: &'a [Counted],
}

/// The state.
pub(crate) struct Ledger<'a> {
    history: &'a History,
    /// The subsystem of each file, by its number.
    subsystems: Vec<u32>,
    subsystem_numbers: HashMap<String, u32>,
    commits: Vec<(Developer, i64)>,
    by_file: HashMap<FileId, Vec<Serial>>,
    by_author: HashMap<Developer, Vec<Serial>>,
    by_author_and_subsystem: HashMap<(Developer, u32), Vec<Serial>>,
    /// For each commit the round in which it was counted last, and the round: counts distinct commits without a set.
    counted: Vec<u32>,
    round: u32,
}

impl<'a> Ledger<'a> {
    pub(crate) fn new(history: &'a History) -> Self {
        let mut subsystem_numbers: HashMap<String, u32> = HashMap::new();
        let mut subsystems = vec![0; history.files.len()];
        for (path, file) in history.files.iter() {
            let next = u32::try_from(subsystem_numbers.len()).unwrap_or(u32::MAX);
            let number = *subsystem_numbers.entry(subsystem(path).to_owned()).or_insert(next);
            if let Some(entry) = usize::try_from(file).ok().and_then(|file| subsystems.get_mut(file)) {
                *entry = number;
            }
        }
        Self {
            history,
            subsystems,
            subsystem_numbers,
            commits: Vec::new(),
            by_file: HashMap::new(),
            by_author: HashMap::new(),
            by_author_and_subsystem: HashMap::new(),
            counted: Vec::new(),
            round: 0,
        }
    }

    /// Enters a commit; a merge is none of its own.
    pub(crate) fn enter(&mut self, commit: &Past) {
        if commit.is_merge() {
            return;
        }
        let serial = Serial::try_from(self.commits.len()).unwrap_or(Serial::MAX);
        self.commits.push((commit.author, commit.time));
        self.counted.push(0);
        self.by_author.entry(commit.author).or_default().push(serial);
        let mut touched = BTreeSet::new();
        for touch in &commit.touched {
            // What was moved takes its past along.
            if let Some(past) = touch.from.and_then(|from| self.by_file.remove(&from)) {
                self.by_file.insert(touch.file, past);
            }
            self.by_file.entry(touch.file).or_default().push(serial);
            touched.extend(usize::try_from(touch.file.0).ok().and_then(|file| self.subsystems.get(file)));
        }
        for subsystem in touched {
            self.by_author_and_subsystem.entry((commit.author, subsystem)).or_default().push(serial);
        }
    }

    /// Measures a change at this point.
    pub(crate) fn measure(&mut self, subject: &Subject<'_>) -> Measures {
        let mut measures = Measures::default();
        spread(&mut measures, subject.files);
        size(&mut measures, subject.files);
        self.past(&mut measures, subject);
        self.experience(&mut measures, subject);
        content(&mut measures, subject);
        measures
    }

    fn past(&mut self, measures: &mut Measures, subject: &Subject<'_>) {
        self.round += 1;
        let pasts: Vec<&[Serial]> = subject
            .files
            .iter()
            .filter(|file| file.kind.counts_as_file())
            .filter_map(|file| self.history.files.find(file.from.as_ref().unwrap_or(&file.path)))
            .filter_map(|file| self.by_file.get(&FileId(file)).map(Vec::as_slice))
            .collect();
        let mut by_developer: HashMap<Developer, usize> = HashMap::new();
        let mut changes = 0;
        for place in pasts.iter().flat_map(|past| past.iter()).filter_map(|serial| usize::try_from(*serial).ok()) {
            if let (Some(round), Some((developer, _))) = (self.counted.get_mut(place), self.commits.get(place))
                && *round != self.round
            {
                *round = self.round;
                changes += 1;
                *by_developer.entry(*developer).or_default() += 1;
            }
        }
        measures.set_of(Measure::EarlierChanges, float(changes), float(self.commits.len()));
        measures.set_of(Measure::Developers, float(by_developer.len()), float(self.by_author.len()));
        if let Some(most) = by_developer.values().max() {
            measures.set(Measure::OwnershipSpread, 1.0 - float(*most) / float(changes));
        }
        let ages: Vec<f64> = pasts
            .iter()
            .filter_map(|past| self.commits.get(usize::try_from(*past.last()?).ok()?))
            .map(|(_, last)| seconds(subject.time - last) / DAY)
            .collect();
        if !ages.is_empty() {
            measures.set(Measure::Age, ages.iter().sum::<f64>() / float(ages.len()));
        }
    }

    fn experience(&self, measures: &mut Measures, subject: &Subject<'_>) {
        let made = subject.author.and_then(|author| self.by_author.get(&author)).map_or(&[][..], Vec::as_slice);
        let commits = float(self.commits.len());
        measures.set_of(Measure::Experience, float(made.len()), commits);
        let years = |time: i64| seconds(subject.time - time) / DAY / YEAR;
        let weight = |(_, time): (Developer, i64)| 1.0 / (1.0 + years(time));
        let recent: f64 = made.iter().filter_map(|serial| self.commit(*serial)).map(weight).sum();
        measures.set_of(Measure::RecentExperience, recent, self.commits.iter().copied().map(weight).sum());
        let subsystems: BTreeSet<u32> = subject
            .files
            .iter()
            .filter(|file| file.kind.counts_as_file())
            .filter_map(|file| self.subsystem_numbers.get(subsystem(&file.path)).copied())
            .collect();
        let there: BTreeSet<Serial> = subsystems
            .into_iter()
            .filter_map(|subsystem| self.by_author_and_subsystem.get(&(subject.author?, subsystem)))
            .flatten()
            .copied()
            .collect();
        measures.set_of(Measure::SubsystemExperience, float(there.len()), commits);
    }

    fn commit(&self, serial: Serial) -> Option<(Developer, i64)> {
        usize::try_from(serial).ok().and_then(|place| self.commits.get(place)).copied()
    }
}

/// A time span; clocks differ between machines, so what seems to lie ahead is taken as now.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "seconds between two commits are far below 2^52")]
fn seconds(span: i64) -> f64 {
    span.max(0) as f64
}

fn spread(measures: &mut Measures, files: &[Counted]) {
    let counted: Vec<&Counted> = files.iter().filter(|file| file.kind.counts_as_file()).collect();
    let distinct = |part: fn(&str) -> &str| float(counted.iter().map(|file| part(&file.path)).collect::<BTreeSet<_>>().len());
    measures.set(Measure::Subsystems, distinct(subsystem));
    measures.set(Measure::Directories, distinct(directory));
    measures.set(Measure::Files, float(counted.len()));
    let changed: Vec<f64> = counted.iter().map(|file| float(file.added + file.deleted)).filter(|lines| *lines > 0.0).collect();
    measures.set(Measure::Entropy, entropy(&changed));
}

/// Entropy of a distribution, divided by the largest that so many parts can have; 0 where there is one part or none.
fn entropy(parts: &[f64]) -> f64 {
    let all: f64 = parts.iter().sum();
    if parts.len() < 2 {
        return 0.0;
    }
    let sum: f64 = parts.iter().map(|part| part / all).map(|share| -share * share.log2()).sum();
    sum / float(parts.len()).log2()
}

fn size(measures: &mut Measures, files: &[Counted]) {
    let sum = |part: fn(&Counted) -> usize| float(files.iter().map(part).sum());
    measures.set(Measure::LinesAdded, sum(|file| file.added));
    measures.set(Measure::LinesDeleted, sum(|file| file.deleted));
    let number = files.iter().filter(|file| file.kind.counts_as_file()).count();
    measures.set(Measure::LinesBefore, sum(|file| file.before) / float(number.max(1)));
}

fn content(measures: &mut Measures, subject: &Subject<'_>) {
    let touches = |kinds: &[Kind]| subject.files.iter().any(|file| kinds.contains(&file.kind));
    let flag = |holds: bool| if holds { 1.0 } else { 0.0 };
    measures.set(Measure::Fix, flag(subject.fix));
    measures.set(Measure::WithoutTests, flag(touches(&[Kind::Code, Kind::Migration]) && !touches(&[Kind::Test])));
    measures.set(Measure::Migrations, flag(touches(&[Kind::Migration])));
    measures.set(Measure::Configuration, flag(touches(&[Kind::Configuration, Kind::Lock])));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_lines_in_files_when_their_spread_is_measured_then_0_in_one_and_1_in_equal_parts() {
        assert_eq!(entropy(&[7.0]), 0.0);
        assert!((entropy(&[5.0, 5.0, 5.0]) - 1.0).abs() < 1e-12);
        // -(3/4 log2 3/4 + 1/4 log2 1/4) = 0.8112781...
        assert!((entropy(&[30.0, 10.0]) - 0.811_278_124_459_132_8).abs() < 1e-12);
    }
}
