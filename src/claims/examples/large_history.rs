//! Writes a made-up history of 100,000 commits as a stream for `git fast-import`, to measure how long it takes to read one:
//!
//! ```sh
//! git init large && cargo run --release -p firebreak-claims --example large_history | git -C large fast-import
//! git -C large repack -adq && git -C large reset --hard -q main
//! time kubectl firebreak claims --repository large --base main~5 --head main
//! ```
//!
//! 5,000 files in 250 folders of 25 subsystems, 200 developers of unequal zeal, three files a commit with some far larger,
//! every tenth commit a merge. The same each time.

use std::io::{BufWriter, Write as _};

const COMMITS: u64 = 100_000;
const FILES: u64 = 5_000;

/// A generator of numbers that look random (Marsaglia's xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below.max(1)
    }

    /// Small ones more often than large ones.
    fn uneven(&mut self, below: u64) -> u64 {
        let first = self.next(below);
        self.next(first + 1)
    }
}

fn main() -> std::io::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    for commit in 1..=COMMITS {
        let developer = numbers.uneven(200);
        let time = 1_400_000_000 + commit * 2_000;
        let merge = commit % 10 == 0 && commit > 20;
        let message = if numbers.next(4) == 0 { "Fix what was broken" } else { "Make it better" };
        writeln!(out, "commit refs/heads/main\nmark :{commit}")?;
        writeln!(out, "author Developer {developer} <d{developer}@example.com> {time} +0000")?;
        writeln!(out, "committer Developer {developer} <d{developer}@example.com> {time} +0000")?;
        writeln!(out, "data {}\n{message}", message.len())?;
        if commit > 1 {
            writeln!(out, "from :{}", commit - 1)?;
        }
        if merge {
            writeln!(out, "merge :{}", commit - 5)?;
        }
        let touched = if commit == 1 {
            FILES
        } else if numbers.next(200) == 0 {
            100
        } else {
            1 + numbers.next(5)
        };
        for number in 0..touched {
            let file = if commit == 1 { number } else { numbers.uneven(FILES) };
            let (subsystem, folder) = (file % 25, file % 250);
            let content: String =
                (0..40).map(|line| format!("line {line} of {file} in {}\n", if line < 35 { 0 } else { commit })).collect();
            writeln!(out, "M 100644 inline sub{subsystem}/part{folder}/deep/file{file}.rs\ndata {}\n{content}", content.len())?;
        }
        writeln!(out)?;
    }
    out.flush()
}
