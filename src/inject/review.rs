//! An AdmissionReview (`admission.k8s.io/v1`): bytes to a question, an answer to bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

use crate::inject::plan::Plan;
use crate::inject::refusal::Refusal;

/// What the API server asks.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// The question's own name, which the answer has to repeat.
    pub uid: String,
    /// What kind of object it is about.
    pub resource: Kind,
    /// The namespace of the object; an object that is to be made may not say it itself.
    #[serde(default)]
    pub namespace: String,
    /// The object.
    #[serde(default)]
    pub object: Value,
    /// What it was before, where it is changed.
    #[serde(default)]
    pub old_object: Value,
    /// Whether nothing of it will be kept, nor of what was asked with it.
    #[serde(default)]
    pub dry_run: bool,
}

/// Of a `GroupVersionResource` what tells one from another here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Kind {
    /// The plural.
    pub resource: String,
}

/// Bytes that are no question.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// They are not JSON, or lack something.
    #[error("this is no AdmissionReview")]
    Unreadable(#[source] serde_json::Error),
    /// Another version.
    #[error("an AdmissionReview of {found:?}; want {API_VERSION:?}")]
    OtherVersion {
        /// As it says.
        found: String,
    },
}

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// The API server cuts what is longer (`apiserver/pkg/warning`), and says that it did.
const MOST_WARNING_BYTES: usize = 250;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asking {
    #[serde(default)]
    api_version: String,
    request: Question,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answering<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    /// Base64, as `[]byte` is written in JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'a str>,
}

#[derive(Serialize)]
struct Status {
    code: u16,
    reason: &'static str,
    message: String,
}

/// Reads a question.
pub fn parse(bytes: &[u8]) -> Result<Question, ReviewError> {
    let asking: Asking = serde_json::from_slice(bytes).map_err(ReviewError::Unreadable)?;
    if asking.api_version == API_VERSION {
        Ok(asking.request)
    } else {
        let end = asking.api_version.floor_char_boundary(100);
        Err(ReviewError::OtherVersion { found: asking.api_version.chars().take(end).collect() })
    }
}

/// The answer to the question `uid`.
pub fn answer(uid: &str, outcome: &Result<Plan, Refusal>) -> Vec<u8> {
    let mut response =
        Response { uid, allowed: true, status: None, patch_type: None, patch: None, warnings: Vec::new() };
    match outcome {
        Ok(plan) => {
            if !plan.operations.is_empty() {
                let patch = serde_json::to_vec(&plan.operations).unwrap_or_default();
                response.patch_type = Some("JSONPatch");
                response.patch = Some(STANDARD.encode(patch));
            }
            let cut = |text: &String| text.floor_char_boundary(MOST_WARNING_BYTES);
            response.warnings = plan.warnings.iter().filter_map(|text| text.get(..cut(text))).collect();
        }
        Err(refusal) => {
            response.allowed = false;
            let message = format!("kraftlet: {refusal}");
            response.status = Some(Status { code: 422, reason: refusal.reason(), message });
        }
    }
    let answering = Answering { api_version: API_VERSION, kind: KIND, response };
    // Texts and numbers always have a form in JSON.
    serde_json::to_vec(&answering).unwrap_or_default()
}
