//! A failing schedule made simpler: fewer context switches first, then fewer steps, then fewer actors; it fails by the same key.
//!
//! Delta debugging (Zeller, Hildebrandt: *Simplifying and Isolating Failure-Inducing Input*, 2002) over the schedule's turns: one is taken
//! out, moved next to another of its actor, or cut. What is left of a schedule is followed as far as it goes, and finished without switches.

use super::race::RaceDetector;
use super::schedule::{actors, switches};
use super::system::{Actor, Choice, System};

/// A schedule that fails, and by how much it was made simpler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// The choices, up to the step after which the failure is there.
    pub choices: Vec<Choice>,
    /// Schedules that were tried.
    pub tried: usize,
}

type Size = (usize, usize, usize);

fn size(choices: &[Choice]) -> Size {
    (switches(choices), choices.len(), actors(choices))
}

/// Makes a schedule that fails by `key` simpler, in at most `most` tries. `None` if it does not fail by that key.
pub fn shrink<S: System>(system: &mut S, choices: &[Choice], key: &str, most: usize) -> Option<Shrunk> {
    let max_steps = choices.len().saturating_mul(2).saturating_add(64);
    let mut shrinker = Shrinker { system, key, max_steps, most, tried: 0 };
    let mut best = shrinker.follow(choices)?;
    loop {
        let before = size(&best);
        shrinker.merge_turns(&mut best);
        shrinker.cut_turns(&mut best);
        shrinker.drop_actors(&mut best);
        if size(&best) == before || shrinker.tried >= most {
            return Some(Shrunk { choices: best, tried: shrinker.tried });
        }
    }
}

struct Shrinker<'a, S> {
    system: &'a mut S,
    key: &'a str,
    max_steps: usize,
    most: usize,
    tried: usize,
}

/// A schedule as turns: an actor's choices without a switch.
fn turns(choices: &[Choice]) -> Vec<Vec<Choice>> {
    choices.chunk_by(|one, other| one.actor == other.actor).map(<[Choice]>::to_vec).collect()
}

impl<S: System> Shrinker<'_, S> {
    /// Follows a schedule as far as it goes, passing over what is not possible, and on without switches: the choices up to the failure.
    fn follow(&mut self, wanted: &[Choice]) -> Option<Vec<Choice>> {
        self.tried += 1;
        self.system.reset();
        let mut races = RaceDetector::new(self.system.actor_count());
        let (mut taken, mut possible): (Vec<Choice>, Vec<Choice>) = (Vec::new(), Vec::new());
        let mut wanted = wanted.iter();
        let mut known_races = 0;
        loop {
            possible.clear();
            self.system.choices(&mut possible);
            if possible.is_empty() {
                return self.fails_at_end().then_some(taken);
            }
            if taken.len() >= self.max_steps {
                return None;
            }
            let same = || possible.iter().find(|choice| Some(choice.actor) == taken.last().map(|last| last.actor));
            let choice = *wanted.find(|choice| possible.contains(choice)).or_else(same).unwrap_or(&possible[0]);
            let failure = self.system.perform(choice).err();
            taken.push(choice);
            races.step(choice.actor, self.system.touches());
            let new = &races.races()[known_races..];
            let found = |race: &super::race::Race| self.system.race(race.first, race.second);
            if new.iter().filter_map(found).any(|finding| S::key(&finding) == self.key) {
                return Some(taken);
            }
            known_races = races.races().len();
            if let Some(finding) = failure {
                return (S::key(&finding) == self.key || self.fails_at_end()).then_some(taken);
            }
        }
    }

    fn fails_at_end(&mut self) -> bool {
        self.system.ending().findings.iter().any(|finding| S::key(finding) == self.key)
    }

    /// Tries a schedule, and takes it if it fails and is simpler.
    fn accept(&mut self, best: &mut Vec<Choice>, candidate: &[Choice]) -> bool {
        if self.tried >= self.most {
            return false;
        }
        let Some(taken) = self.follow(candidate).filter(|taken| size(taken) < size(best)) else { return false };
        *best = taken;
        true
    }

    /// Moves each turn to the actor's turn before or after it, or takes it out.
    fn merge_turns(&mut self, best: &mut Vec<Choice>) {
        let mut number = 0;
        loop {
            let all = turns(best);
            let Some(turn) = all.get(number) else { return };
            let actor = turn[0].actor;
            let mut without = all.clone();
            let turn = without.remove(number);
            let earlier = (0..number).rev().find(|other| all[*other][0].actor == actor);
            let later = (number..without.len()).find(|other| without[*other][0].actor == actor);
            let mut candidates = vec![without.concat()];
            if let Some(earlier) = earlier {
                let mut moved = without.clone();
                moved[earlier].extend_from_slice(&turn);
                candidates.push(moved.concat());
            }
            if let Some(later) = later {
                let mut moved = without.clone();
                moved[later].splice(0..0, turn.iter().copied());
                candidates.push(moved.concat());
            }
            if !candidates.iter().any(|candidate| self.accept(best, candidate)) {
                number += 1;
            }
        }
    }

    /// Cuts each turn: from its end, and from its start, by halves of what is left.
    fn cut_turns(&mut self, best: &mut Vec<Choice>) {
        let mut number = 0;
        loop {
            let all = turns(best);
            let Some(turn) = all.get(number) else { return };
            let mut cut = turn.len();
            let mut changed = false;
            while cut > 0 && !changed {
                for part in [0..turn.len() - cut, cut..turn.len()] {
                    let mut shorter = all.clone();
                    shorter[number] = turn[part].to_vec();
                    changed = changed || self.accept(best, &shorter.concat());
                }
                cut /= 2;
            }
            if !changed {
                number += 1;
            }
        }
    }

    /// Takes out all that an actor does.
    fn drop_actors(&mut self, best: &mut Vec<Choice>) {
        let all: std::collections::BTreeSet<Actor> = best.iter().map(|choice| choice.actor).collect();
        for actor in all {
            let without: Vec<Choice> = best.iter().filter(|choice| choice.actor != actor).copied().collect();
            self.accept(best, &without);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::policy::random::RandomWalk;
    use crate::explore::replay::replay;
    use crate::explore::toy::{Op, Toy};

    /// A schedule that fails by `key`, found at random.
    fn failing(toy: &Toy, key: &str) -> Vec<Choice> {
        let mut driver = crate::explore::drive::Driver::new(toy.clone(), 1000, true);
        let mut walk = RandomWalk::new(1, 0..10_000);
        while let Some(run) = driver.run(&mut walk).expect("a toy repeats itself") {
            if run.findings.iter().any(|finding| Toy::key(finding) == key) {
                return driver.schedule().to_vec();
            }
        }
        panic!("no run fails by {key}");
    }

    fn check(toy: &mut Toy, key: &str) -> Shrunk {
        let schedule = failing(toy, key);
        let shrunk = shrink(toy, &schedule, key, 10_000).expect("it fails");
        let again = replay(toy, &shrunk.choices, |_, _| ());
        assert_eq!(again.misfit, None);
        assert!(again.findings.iter().any(|finding| Toy::key(finding) == key));
        assert!(size(&shrunk.choices) <= size(&schedule));
        shrunk
    }

    #[test]
    fn only_the_switch_that_matters_is_left() {
        let busy = |op: Op| vec![Op::Add(1, 1), Op::Add(1, 1), op, Op::Add(1, 1), Op::Add(1, 1)];
        let mut toy = Toy::new(vec![busy(Op::Add(2, 1)), busy(Op::Add(0, 1)), busy(Op::Fail(0, 1))], 3, 0);
        let shrunk = check(&mut toy, "failed 2 2");
        assert_eq!(size(&shrunk.choices), (1, 6, 2));
    }

    #[test]
    fn a_deadlock_keeps_its_two_switches() {
        let first = vec![Op::Add(0, 1), Op::Lock(0), Op::Lock(1), Op::Unlock(1), Op::Unlock(0)];
        let second = vec![Op::Add(0, 1), Op::Lock(1), Op::Lock(0), Op::Unlock(0), Op::Unlock(1)];
        let shrunk = check(&mut Toy::new(vec![first, second], 1, 2), "deadlock");
        assert_eq!(size(&shrunk.choices), (1, 4, 2));
    }

    #[test]
    fn a_race_ends_with_its_second_access() {
        let busy = |op: Op| vec![Op::Add(1, 1), op, Op::Add(1, 1)];
        let mut toy = Toy::new(vec![busy(Op::Write(0, 1)), vec![Op::Read(0)], busy(Op::Add(2, 1))], 3, 0);
        let shrunk = check(&mut toy, "race 0");
        assert_eq!(size(&shrunk.choices), (1, 3, 2));
    }

    #[test]
    fn a_schedule_that_does_not_fail_is_no_start() {
        assert_eq!(shrink(&mut Toy::race(2, 2), &[], "deadlock", 100), None);
    }
}
