//! What is to be done, as data: carried out, logged, replayed and tested from the same values.

use serde::{Deserialize, Serialize};

use crate::units::Weight;

/// One effect on the cluster. All are idempotent; they are carried out in the order given, and the first that fails
/// ends the turn (the next turn begins with what is still to be done).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Pause the workload (late hold).
    Hold,
    /// Pin the Service to stable's pods.
    Pin,
    /// Make the candidate's Service.
    MakeCandidateService,
    /// Make the candidate's ReplicaSet, or take over the one with its template, at this size.
    MakeCandidate {
        /// Pods.
        replicas: u32,
    },
    /// Change the size of the candidate's ReplicaSet.
    ScaleCandidate {
        /// Pods.
        replicas: u32,
    },
    /// Give the candidate this share in every route.
    SetWeight(Weight),
    /// Take every share from the candidate, now, whatever else is wrong.
    ZeroWeight,
    /// Let the Service select the pods of both arms again.
    Unpin,
    /// Give the candidate's ReplicaSet, at full size, to the workload.
    HandOver {
        /// The workload's size.
        replicas: u32,
    },
    /// Give a ReplicaSet that was taken over back to the workload, at size 0.
    GiveBack,
    /// Let the native controller go on.
    Resume,
    /// Write the routes as they were.
    RestoreRoutes,
    /// Remove the candidate's Service.
    RemoveCandidateService,
    /// Write stable's template back into the workload.
    RestoreTemplate,
}

/// Something a person should know: an Event and an entry of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// One word for machines.
    pub reason: String,
    /// What happened, what Firebreak did about it, what to do next.
    pub message: String,
    /// Whether it asks for attention.
    pub warning: bool,
}
