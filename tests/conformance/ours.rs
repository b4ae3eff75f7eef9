//! What kptrsim says: `kptrsim verify` on each object, in a process of its own with a time limit, so that a crash or a
//! hang is a result like any other.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use kptrsim::crosscheck::KernelImage;
use rayon::prelude::*;
use serde::Deserialize;
use wait_timeout::ChildExt;

use crate::SelftestObject;
use crate::record::progress_bar;

/// Our verdict on one program, as `--format json` has it.
#[derive(Debug, Clone, Deserialize)]
pub struct OurProgram {
    /// The program's name.
    pub program: String,
    /// `accept`, `reject` or `unsupported`.
    pub verdict: Decision,
    /// The error number.
    pub errno: Option<i32>,
    /// The log's last line, or what is not supported.
    pub reason: Option<String>,
    /// Instructions processed.
    pub insns_processed: u64,
    /// States that were kept.
    pub total_states: u64,
}

/// What we decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The program would load.
    Accept,
    /// It would not.
    Reject,
    /// We cannot tell.
    Unsupported,
}

/// What became of one object here.
#[derive(Debug, Clone)]
pub enum OurObject {
    /// Verdicts on its programs.
    Judged(BTreeMap<String, OurProgram>),
    /// The loader refuses it, and says why.
    Refused(String),
    /// A panic, a signal or no answer in time.
    Crashed(String),
}

/// Verifies all objects side by side.
pub fn verify_all(
    objects: &[SelftestObject],
    image: &KernelImage,
    timeout: Duration,
) -> Result<Vec<OurObject>, Box<dyn Error>> {
    let progress = progress_bar(objects.len());
    let verdicts: Result<Vec<_>, String> = objects
        .par_iter()
        .map(|object| {
            let verdict = verify(object, image, timeout).map_err(|error| format!("{}: {error}", object.name));
            progress.inc(1);
            verdict
        })
        .collect();
    progress.finish_and_clear();
    Ok(verdicts?)
}

fn verify(object: &SelftestObject, image: &KernelImage, timeout: Duration) -> Result<OurObject, Box<dyn Error>> {
    let (output, errors) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let mut child = Command::new(env!("CARGO_BIN_EXE_kptrsim"))
        .args(["verify", "--format", "json", "--kernel", &image.release])
        .arg(&object.path)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(errors.try_clone()?)
        .spawn()?;
    let Some(status) = child.wait_timeout(timeout)? else {
        child.kill()?;
        child.wait()?;
        return Ok(OurObject::Crashed(format!("no answer within {} s", timeout.as_secs())));
    };
    let errors = text(errors)?;
    let complaint = errors.lines().next().unwrap_or("").trim_start_matches("kptrsim: ").to_owned();
    Ok(match status.code() {
        Some(0 | 1 | 3) => OurObject::Judged(programs(&text(output)?)?),
        Some(2) => OurObject::Refused(complaint),
        _ => OurObject::Crashed(format!("{status}: {complaint}")),
    })
}

/// What a child wrote into the file.
fn text(mut file: File) -> Result<String, std::io::Error> {
    use std::io::Seek;
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn programs(lines: &str) -> Result<BTreeMap<String, OurProgram>, serde_json::Error> {
    let parsed = lines.lines().map(|line| {
        let program: OurProgram = serde_json::from_str(line)?;
        Ok((program.program.clone(), program))
    });
    parsed.collect()
}
