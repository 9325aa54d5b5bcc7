//! Waiting for something to become true, with a deadline.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::{Instant, sleep, timeout};

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Looks until `look` finds something or the deadline passes; its errors are shown if the deadline passes.
///
/// # Errors
/// When the deadline passes; the message says what was waited for and how the last look failed.
pub async fn until<T, F, Fut>(what: &str, deadline: Duration, mut look: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let end = Instant::now() + deadline;
    let mut last = None;
    loop {
        // A look that hangs must not outlive the deadline.
        match timeout(end.saturating_duration_since(Instant::now()), look()).await {
            Ok(Ok(Some(found))) => return Ok(found),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => last = Some(error),
            Err(_) => last = Some(last.unwrap_or_else(|| anyhow!("no answer"))),
        }
        if Instant::now() + LOOK > end {
            let why = last.map(|error| format!(": {error:#}")).unwrap_or_default();
            return Err(anyhow!("waited {deadline:?} in vain for {what}{why}"));
        }
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn given_a_look_that_hangs_when_the_deadline_passes_then_the_wait_ends_and_says_for_what() {
        let wait = until::<(), _, _>("the end of days", Duration::from_millis(100), std::future::pending);
        let error = wait.await.unwrap_err().to_string();
        assert!(error.contains("the end of days"), "{error}");
    }

    #[tokio::test]
    async fn given_failing_looks_when_one_succeeds_then_its_answer_is_returned() {
        let mut looks = 0;
        let found = until("a third look", Duration::from_secs(5), || {
            looks += 1;
            let answer = match looks {
                1 => Err(anyhow!("not yet")),
                2 => Ok(None),
                looks => Ok(Some(looks)),
            };
            async move { answer }
        });
        assert_eq!(found.await.unwrap(), 3);
    }
}
