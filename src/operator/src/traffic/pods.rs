//! Exposure without routes: requests spread evenly over the pods behind a Service, so the candidate's share is its
//! share of the pods.

use super::Weight;

/// Candidate pods that keep its share of the pods within `weight`: the largest n with n / (stable + n) <= weight.
///
/// One pod is the least a candidate can have: at a weight above 0 the answer is at least 1, even where that is more
/// than the weight (a share is rounded to pods where no route divides requests). At most `full`, and `full` at full
/// weight.
#[must_use]
pub fn pods_for_share(stable: u32, weight: Weight, full: u32) -> u32 {
    let permille = weight.permille();
    if weight == Weight::ZERO {
        return 0;
    }
    // n / (s + n) <= w / 1000 holds exactly for n (1000 - w) <= w s.
    let largest = (u64::from(permille) * u64::from(stable)).checked_div(1000 - u64::from(permille));
    largest.and_then(|n| u32::try_from(n).ok()).unwrap_or(full).max(1).min(full)
}
