//! ln, exp and their kin with the same bits on every platform.
//!
//! Those of the standard library come from the platform's C library, and glibc even picks others by the processor. A
//! decision must be computed again, bit for bit, wherever its record is read: on another node, or on a laptop.

pub(crate) use libm::{exp, expm1 as exp_m1, log as ln, log1p as ln_1p, pow};
