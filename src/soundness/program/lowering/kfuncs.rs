//! Calls of a user's own kernel functions.

use super::Lowering;
use super::env::{BUFFER, Pointer, What};
use crate::isa::{AluOp, Width};
use crate::soundness::program::kfunc::{Outcome, Parameter, UserKfunc};
use crate::soundness::program::model::{Pick, Source, Statement};

impl Lowering {
    /// The place of a structure among those seen.
    fn foreign(&mut self, structure: &str) -> What {
        let place = self.foreign.iter().position(|known| known == structure).unwrap_or_else(|| {
            self.foreign.push(structure.to_owned());
            self.foreign.len() - 1
        });
        What::Foreign(place)
    }

    pub(super) fn user_kfunc(
        &mut self,
        kfunc: &UserKfunc,
        numbers: &[Source; 5],
        objects: Pick,
        home: Pick,
        body: &[Statement],
    ) {
        let Some(found) = self.objects_for(kfunc, objects) else { return };
        if self.locked || !kfunc.allows(self.kind) || self.env.homes().is_empty() {
            return;
        }
        self.current.statement(format!("{}()", kfunc.name));
        if kfunc.parameters.contains(&Parameter::Memory) {
            self.clear_buffer();
        }
        self.arguments(kfunc, numbers, &found);
        self.kfunc(&kfunc.name);
        match &kfunc.outcome {
            Outcome::Nothing => {}
            Outcome::Number => self.env.set_number(0),
            Outcome::Object { structure, nullable, release } => {
                let what = self.foreign(structure);
                self.owed += 1;
                let end = |lowering: &mut Self, pointer| lowering.release_foreign(release, pointer);
                if *nullable {
                    self.if_not_null(what, home, body, end);
                } else if let Some(place) = self.home(home) {
                    self.keep(place, 0);
                    let behind = self.current.label();
                    self.within(Pointer { what, home: place }, behind, body, end);
                }
                self.owed -= 1;
            }
        }
    }

    /// An object at hand for each parameter that wants one; `None` if there is none for one of them.
    fn objects_for(&mut self, kfunc: &UserKfunc, objects: Pick) -> Option<Vec<Option<Pointer>>> {
        let mut found = Vec::new();
        for parameter in &kfunc.parameters {
            found.push(match parameter {
                Parameter::Object(structure) => {
                    let wanted = self.foreign(structure);
                    Some(self.find(objects, |what| what == wanted)?)
                }
                _ => None,
            });
        }
        Some(found)
    }

    /// Numbers first, from the last to the first: those in `r1` to `r5` may be overwritten, and are then constants.
    fn arguments(&mut self, kfunc: &UserKfunc, numbers: &[Source; 5], objects: &[Option<Pointer>]) {
        for (index, parameter) in kfunc.parameters.iter().enumerate().rev() {
            let register = index as u8 + 1;
            let source = numbers.get(index).copied().unwrap_or(Source::Constant(0));
            match (parameter, source, objects.get(index).copied().flatten()) {
                (_, _, Some(object)) => self.argument(register, object, 0),
                (Parameter::Memory, ..) => self.stack_address(register, BUFFER.0),
                (Parameter::MemorySize, ..) => self.constant(register, i32::from(BUFFER.1)),
                (Parameter::Number, source, _) => {
                    let operand = self.operand(source);
                    self.alu(AluOp::Mov, Width::W64, register, operand);
                }
                (Parameter::Constant, Source::Constant(value), _) => self.constant(register, value & 0xff),
                _ => self.constant(register, 0),
            }
            self.env.clear_number(register);
        }
    }

    fn release_foreign(&mut self, release: &str, pointer: Pointer) {
        self.current.statement(format!("{release}()"));
        for _ in 0..self.releases() {
            self.argument(1, pointer, 0);
            self.kfunc(release);
        }
        self.env.clobber();
    }
}
