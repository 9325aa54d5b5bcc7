//! A report for people: a line per second, and a table at the end.

use std::fmt::Write;
use std::time::Duration;

use super::counts::Counts;
use super::report::{Report, share};

/// What became of the requests sent in second number `second` (from 0).
#[must_use]
pub fn second_line(report: &Report, second: u64) -> String {
    let (from, to) = (Duration::from_secs(second), Duration::from_secs(second + 1));
    let total = report.between(from, to);
    let mut line = format!("{:>4}s  answered {:>4}  failed {:>4}", second + 1, total.sent(), total.failed());
    for (version, series) in &report.versions {
        let own = series.between(from, to).sent();
        if own > 0 {
            // Writing to a String cannot fail.
            let _ = write!(line, "  {version} {:.1}%", share(own, total.sent()) * 100.0);
        }
    }
    let _ = write!(line, "  mean {:.1} ms", millis(total.latency_mean()));
    if total.failed() > 0 {
        let _ = write!(line, "  [{}]", kinds(&total));
    }
    line
}

/// The whole run: one row a version, then the generator's own accuracy.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_table(report, &mut out);
    out
}

fn write_table(report: &Report, out: &mut String) -> std::fmt::Result {
    let total = report.total();
    writeln!(out, "version       sent   share  failed       5xx  4xx  connect  broken  timeout   mean ms    max ms")?;
    let mut row = |name: &str, counts: &Counts| {
        writeln!(
            out,
            "{name:<10} {:>7} {:>6.2}% {:>7} {:>9} {:>4} {:>8} {:>7} {:>8} {:>9.1} {:>9.1}",
            counts.sent(),
            share(counts.sent(), total.sent()) * 100.0,
            counts.failed(),
            counts.status_5xx,
            counts.status_4xx,
            counts.connect,
            counts.broken,
            counts.timeout,
            millis(counts.latency_mean()),
            millis(counts.latency_max()),
        )
    };
    for (version, series) in &report.versions {
        row(version, &series.total)?;
    }
    row("all", &total)?;
    let slippage = &report.slippage;
    writeln!(
        out,
        "{:.1} s at {} requests/s: {} due, {} unsent, {} under way; sent late by {:.1} ms on average, {:.1} ms p99, \
         {:.1} ms at worst, {} by more than 5 ms",
        report.elapsed().as_secs_f64(),
        report.rate,
        report.due,
        report.unsent,
        report.in_flight,
        millis(slippage.mean()),
        millis(slippage.quantile(0.99)),
        millis(slippage.max()),
        slippage.late,
    )
}

fn kinds(counts: &Counts) -> String {
    let kinds = [
        ("5xx", counts.status_5xx),
        ("4xx", counts.status_4xx),
        ("connect", counts.connect),
        ("broken", counts.broken),
        ("timeout", counts.timeout),
    ];
    let present = kinds.iter().filter(|(_, count)| *count > 0);
    present.map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", ")
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::counts::Cell;
    use crate::load::report::VersionSeries;

    #[test]
    fn given_a_second_then_its_line_names_shares_and_kinds_of_failure() {
        let counts = Counts { ok: 6, status_5xx: 1, timeout: 1, latency_sum_us: 16_000, ..Counts::default() };
        let cells = vec![Cell { at_ms: 1_900, counts }];
        let series = VersionSeries { total: counts, cells, ..VersionSeries::default() };
        let report = Report { versions: [("v1".to_owned(), series)].into(), ..Report::default() };
        assert_eq!(second_line(&report, 1), "   2s  answered    8  failed    2  v1 100.0%  mean 2.0 ms  [5xx 1, timeout 1]");
        assert_eq!(second_line(&report, 0), "   1s  answered    0  failed    0  mean 0.0 ms");
    }

    #[test]
    fn given_a_report_then_header_and_rows_have_the_same_columns() {
        let series = VersionSeries { total: Counts { ok: 3, ..Counts::default() }, ..VersionSeries::default() };
        let report = Report { versions: [("v1".to_owned(), series)].into(), ..Report::default() };
        let table = table(&report);
        let widths: Vec<usize> = table.lines().take(3).map(str::len).collect();
        assert!(widths.windows(2).all(|pair| pair.first() == pair.last()), "{table}");
    }
}
