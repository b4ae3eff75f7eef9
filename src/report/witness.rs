//! What a hunt for a witness came to: the run and how to repeat it, or what was tried in vain.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::diagnostic::Diagnostic;
use super::explore::{Shown, replay_command};
use super::told::Look;
use crate::soundness::witness::{Answer, Class, NoHarm, Tried, Witness, harm};
use crate::verifier::{Rejection, Verification};

/// One rejected program with the answer, and the run performed again.
pub struct WitnessReport<'r> {
    /// The object as the user named it.
    pub object: &'r str,
    /// The verdict and its place.
    pub verification: &'r Verification,
    /// Why it was rejected.
    pub rejection: &'r Rejection,
    /// What the hunt came to.
    pub answer: &'r Answer,
    /// The run, performed again; there if the answer is one.
    pub shown: Option<&'r Shown>,
    /// Options that a replay needs beside the scenario's words, each with a space before it.
    pub options: &'r str,
}

impl WitnessReport<'_> {
    fn command(&self, witness: &Witness, shown: &Shown) -> String {
        format!("{}{}", replay_command(&witness.scenario, shown), self.options)
    }

    /// Which harms the rule names, in words.
    fn harms(&self) -> String {
        match harm::of_id(self.rejection.rule.id()).unwrap_or(Class::NoHarm(NoHarm::Form)) {
            Class::Harm(harms) => harms.iter().map(|harm| harm.words()).collect::<Vec<_>>().join("; "),
            Class::NoHarm(why) => why.words().to_owned(),
        }
    }

    /// For people.
    #[must_use]
    pub fn text(&self, look: &Look) -> String {
        let Verification { program, place, .. } = self.verification;
        let mut text = format!("{}: {program}: {} ({})\n", self.object, self.rejection.rule, self.rejection.rule.id());
        if let Some(source) = place.as_ref().and_then(|place| place.source.as_ref()) {
            let _ = writeln!(text, "  rejected at  {}:{}  {}", source.file, source.line, source.text.trim());
        }
        match self.answer {
            Answer::NoHarm(why) => {
                let _ = writeln!(text, "  no run can show it: {}", why.words());
            }
            Answer::NotFound(tried) => {
                let _ = writeln!(text, "  looked for   {}", self.harms());
                let _ = writeln!(text, "  none found within these bounds: the rejection may be conservative");
                text.push_str(&bounds(tried));
            }
            Answer::Harmless(tried) => {
                let _ = writeln!(text, "  looked for   {}", self.harms());
                let how = if tried.reached { "none of them does it" } else { "none of them comes to the instruction" };
                let outside = if tried.both_ways {
                    "both ways wherever a number from outside decides between two"
                } else {
                    "nothing from outside decides what happens"
                };
                let _ = writeln!(
                    text,
                    "  no run does  every schedule alone and beside itself was tried, {outside}, and {how}"
                );
                text.push_str(&bounds(tried));
            }
            Answer::Shown(witness, tried) => {
                let _ = writeln!(text, "  here is the run, {} ({})", witness.fit.words(), witness.harm.words());
                if let Some(shown) = self.shown {
                    let key = witness.finding.key();
                    if let Some(found) = shown.findings.iter().find(|found| found.key == key) {
                        text.push_str(&found.told.text(look, &[]));
                    }
                    let _ = writeln!(text, "  {}, after {} runs", shown.size(), tried.runs);
                    let told = shown.findings.iter().find(|found| found.key == key).map(|found| &found.told);
                    text.push_str(&shown.lanes(told, look.width));
                    let _ = writeln!(text, "  replay it: {}", self.command(witness, shown));
                }
            }
        }
        text
    }

    /// The harm for code hosts and editors, with the steps that lead there; `None` if no run shows it.
    #[must_use]
    pub fn diagnostic(&self) -> Option<Diagnostic> {
        let (Answer::Shown(witness, _), Some(shown)) = (self.answer, self.shown) else { return None };
        let command = self.command(witness, shown);
        let mut diagnostic = shown.diagnostic(self.object, &witness.finding.key(), &command)?;
        let rule = &self.rejection.rule;
        diagnostic
            .details
            .insert(0, format!("it is what the verifier refuses the program for: {rule} ({})", rule.id()));
        diagnostic.program.clone_from(&self.verification.program);
        Some(diagnostic)
    }

    /// For machines: one record.
    #[must_use]
    pub fn json(&self) -> Value {
        let Verification { program, place, .. } = self.verification;
        let mut record = json!({
            "record": "witness",
            "object": self.object,
            "program": program,
            "rule": self.rejection.rule.id(),
            "reason": self.rejection.rule.to_string(),
            "insn": place.as_ref().map(|place| place.insn),
        });
        match self.answer {
            Answer::NoHarm(why) => {
                record["answer"] = json!("no-harm");
                record["why"] = json!(why.name());
            }
            Answer::NotFound(tried) => {
                record["answer"] = json!("none-found");
                record["tried"] = tried_json(tried);
            }
            Answer::Harmless(tried) => {
                record["answer"] = json!("harmless");
                record["tried"] = tried_json(tried);
            }
            Answer::Shown(witness, tried) => {
                record["answer"] = json!("witness");
                record["kind"] = json!(witness.finding.kind());
                record["place"] = json!(witness.fit.words());
                record["tried"] = tried_json(tried);
                if let Some(shown) = self.shown {
                    let key = witness.finding.key();
                    record["finding"] = shown
                        .findings
                        .iter()
                        .find(|found| found.key == key)
                        .map_or(Value::Null, |one| one.json.clone());
                    record["token"] = json!(shown.schedule.to_string());
                    record["replay"] = json!(self.command(witness, shown));
                }
            }
        }
        record
    }
}

fn tried_json(tried: &Tried) -> Value {
    json!({
        "runs": tried.runs,
        "scenarios": tried.scenarios,
        "inputs": tried.inputs,
        "reached": tried.reached,
        "both_ways": tried.both_ways,
        "covered": tried.covered,
        "others": tried.others,
        "unsupported": tried.unsupported,
        "missing": tried.missing,
    })
}

fn bounds(tried: &Tried) -> String {
    let reached = if tried.reached { "was" } else { "was not" };
    let mut text = format!(
        "  tried        {} runs of {} scenarios, {} inputs among them; the rejected instruction {reached} reached\n",
        tried.runs, tried.scenarios, tried.inputs
    );
    if let Some(missing) = tried.missing {
        let _ = writeln!(text, "  not all runs {missing}");
    }
    for other in &tried.others {
        let _ = writeln!(text, "  besides      {other}: another harm, or at another place");
    }
    for missing in &tried.unsupported {
        let _ = writeln!(text, "  not modelled {missing}");
    }
    text
}
