//! How long it takes to read a made-up history of 100,000 commits. Without an argument it is written as a stream for
//! `git fast-import`; with a folder the last change of the repository there is measured, and the time printed:
//!
//! ```sh
//! git init -b main large && cargo run --release -p firebreak-claims --example large_history | git -C large fast-import
//! git -C large repack -adq && git -C large reset --hard -q main
//! cargo run --release -p firebreak-claims --example large_history -- large
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

fn main() -> Result<(), Box<dyn std::error::Error>> {
    match std::env::args().nth(1) {
        Some(folder) => read(folder.into()),
        None => Ok(write()?),
    }
}

fn read(folder: std::path::PathBuf) -> Result<(), Box<dyn std::error::Error>> {
    let (base, head) = ("HEAD~5".to_owned(), "HEAD".to_owned());
    let request = firebreak_claims::Request {
        folder,
        base,
        head,
        change_url: None,
        records: None,
        history: firebreak_claims::HISTORY_COMMITS,
    };
    let began = std::time::Instant::now();
    let mut step = None;
    let claims = firebreak_claims::run(&request, &mut |progress| {
        if step.replace(std::mem::discriminant(&progress)) != Some(std::mem::discriminant(&progress)) {
            println!("{:6.2} s {progress:?}", began.elapsed().as_secs_f64());
        }
    })?;
    println!("{:6.2} s {} commits", began.elapsed().as_secs_f64(), claims.read.commits);
    print!("{}", firebreak_claims::write(&claims, &firebreak_claims::Format::Patch)?);
    Ok(())
}

fn write() -> std::io::Result<()> {
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
