//! A session of the first example, stepped: what is shown, what goes back, what replays.

use crate::explore::replay::replay;
use crate::explore::schedule::Schedule;
use crate::explore::simulation::ActorKind;
use crate::explore::system::{Actor, System};
use crate::machine::Stage;

use super::going::Whom;
use super::interrupt::Interrupt;
use super::objects::objects;
use super::session::Session;
use super::stops::{Break, Stop};
use super::testing::{counting, session};

/// All that is shown, as a text.
fn shown(session: &Session) -> String {
    let states: Vec<_> = session.actors().map(|actor| session.state(actor)).collect();
    let objects: Vec<_> = objects(session.machine(), &session.runners())
        .into_iter()
        .map(|one| (one.name, one.stage, one.values))
        .collect();
    let done: Vec<_> = session.done().map(|(choice, text)| (choice, text.to_owned())).collect();
    format!("{states:?} {objects:?} {done:?} {:?} {:?}", session.rows(), session.findings())
}

fn insn(session: &Session, actor: u16) -> Option<u32> {
    session.state(Actor(actor)).map(|state| state.place.insn)
}

fn choose(session: &mut Session, actor: u16) {
    while session.selected().actor != Actor(actor) {
        session.select(1);
    }
}

fn run(session: &mut Session, whom: Whom) -> Stop {
    let begun = session.begin(whom);
    loop {
        match session.go_on(begun, 7) {
            Stop::Budget => {}
            stop => return stop,
        }
    }
}

#[test]
fn instructions_are_shown_one_by_one() {
    let mut session = counting();
    assert_eq!((insn(&session, 0), session.done().len()), (None, 0));
    assert_eq!(session.step_instruction(), Stop::Done);
    assert_eq!((insn(&session, 0), session.done().len()), (Some(0), 1), "the start executes nothing");
    let mut seen = Vec::new();
    while insn(&session, 0).is_some() {
        seen.push(insn(&session, 0));
        session.step_instruction();
    }
    let mut sorted = seen.clone();
    sorted.dedup();
    assert_eq!((seen.len(), sorted.len()), (seen.len(), seen.len()), "each step is another instruction");
    assert!(seen.len() > session.done().len(), "a step of the schedule has several");
    assert!(session.rows()[0].text.starts_with("is done: returned"), "{:?}", session.rows());
}

#[test]
fn a_cpu_stays_where_it_is_shown_while_another_goes_on() {
    let mut session = counting();
    session.step_instruction();
    session.step_instruction();
    let before = insn(&session, 0);
    assert!(session.unshown(Actor(0)) > 0);
    choose(&mut session, 1);
    session.step_schedule();
    session.step_schedule();
    assert_eq!(insn(&session, 0), before);
    assert!(insn(&session, 1).is_some());
}

#[test]
fn going_back_shows_what_was_shown() {
    let mut session = counting();
    let mut pictures = vec![shown(&session)];
    // Both CPUs by turns, by instructions and by steps; each of these is one move.
    for number in 0..24 {
        choose(&mut session, u16::from(number % 5 == 4));
        let stop = if number % 3 == 2 { session.step_schedule() } else { session.step_instruction() };
        if !matches!(stop, Stop::Nothing(_)) {
            pictures.push(shown(&session));
        }
    }
    assert!(pictures.len() > 20, "{}", pictures.len());
    let last = pictures.pop();
    assert_eq!(last, Some(shown(&session)));
    while let Some(picture) = pictures.pop() {
        assert!(session.back());
        assert_eq!(shown(&session), picture, "{} moves from the start", pictures.len());
    }
    assert!(!session.back());
}

#[test]
fn a_token_is_followed_as_a_plan_and_replays() {
    let mut first = counting();
    choose(&mut first, 1);
    for _ in 0..3 {
        first.step_schedule();
    }
    choose(&mut first, 0);
    assert_eq!(run(&mut first, Whom::All), Stop::Over);
    let token: Schedule = first.token().parse().expect("it is a token");
    let mut second = counting();
    assert_eq!(second.load(&token.choices), token.choices.len());
    assert_eq!((second.done().len(), second.plan().len()), (0, token.choices.len()));
    second.follow();
    assert_eq!(second.done().len(), 1);
    assert_eq!(run(&mut second, Whom::Plan), Stop::Over);
    assert_eq!(second.token(), first.token());
    assert_eq!(shown(&second), shown(&first));
    let outcome = second.over().and_then(|over| over.outcome.clone());
    let replayed = replay(&mut second.simulation, &token.choices, |_, _| ());
    assert_eq!((replayed.misfit, replayed.outcome), (None, outcome));
}

#[test]
fn another_step_than_the_plans_drops_the_plan() {
    let mut session = counting();
    session.step_schedule();
    session.step_schedule();
    session.to_start();
    assert_eq!(session.plan().len(), 2);
    session.follow();
    assert_eq!(session.plan().len(), 1);
    choose(&mut session, 1);
    session.step_schedule();
    assert_eq!(session.plan().len(), 0);
    session.go_to(0);
    session.go_to(1);
    assert_eq!((session.done().len(), session.plan().len()), (1, 1));
}

#[test]
fn an_object_goes_through_its_life() {
    let mut session = counting();
    let object = |session: &Session| objects(session.machine(), &session.runners()).remove(0);
    assert_eq!(
        (object(&session).stage, object(&session).text),
        (Stage::Published, "published in slots[0].live".to_owned())
    );
    // The reader borrows it ...
    while object(&session).pointers.is_empty() {
        assert_eq!(session.step_instruction(), Stop::Done);
    }
    let borrowed = object(&session);
    assert_eq!(
        (borrowed.stage, borrowed.text.as_str()),
        (Stage::Borrowed, "published in slots[0].live, borrowed under RCU")
    );
    assert!(borrowed.pointers[0].is_borrowed && borrowed.pointers[0].by.starts_with("CPU 0 (r"), "{borrowed:?}");
    // ... and the other takes it and drops it.
    choose(&mut session, 1);
    while !object(&session).text.starts_with("owned") {
        assert_eq!(session.step_schedule(), Stop::Done);
    }
    let owned = object(&session);
    assert_eq!((owned.stage, owned.text.as_str()), (Stage::Borrowed, "owned by CPU 1, borrowed under RCU"));
    while object(&session).stage != Stage::Waiting {
        assert_eq!(session.step_schedule(), Stop::Done);
    }
    assert_eq!(object(&session).text, "waiting: held back by CPU 0, CPU 1", "whoever frees it is in a section, too");
    assert!(matches!(session.end_grace_period(), Stop::Nothing(why) if why.contains("reader")));
    assert_eq!(session.findings().len(), 0);
}

#[test]
fn a_grace_period_ends_as_a_step_that_tokens_have() {
    let mut session = session(&["create"], &["0:destroy", "1:sum"], |builder| builder);
    let begun = session.begin(Whom::Selected);
    assert_eq!(session.go_on(begun, 1000), Stop::Done);
    assert!(
        matches!(session.rows().last(), Some(row) if row.text.starts_with("a grace period ends: frees counter #1"))
    );
    assert_eq!(session.end_grace_period(), Stop::Done);
    assert_eq!(objects(session.machine(), &session.runners())[0].stage, Stage::Freed);
    let token: Schedule = session.token().parse().expect("it is a token");
    let last = token.choices.last().expect("it has steps");
    assert_eq!(session.actor_kind(last.actor), ActorKind::GracePeriod);
    assert_eq!(session.load(&token.choices), token.choices.len());
    // A search knows no such step.
    let mut searched = session.simulation.clone();
    searched.reset();
    assert_eq!(searched.actor_count(), 3);
}

#[test]
fn allocations_fail_only_where_the_scenario_lets_them() {
    let mut never = session(&[], &["0:create"], |builder| builder);
    assert!(matches!(never.fail_allocation(), Stop::Nothing(why) if why.contains("--allocation-failures")));
    let mut session = session(&[], &["0:create"], |builder| builder.allocation_failures(true));
    while session.rows().len() == 1 {
        assert_eq!(session.step_schedule(), Stop::Done);
    }
    assert_eq!(session.rows().len(), 2, "fresh memory, or none");
    assert_eq!(session.fail_allocation(), Stop::Done);
    assert_eq!(run(&mut session, Whom::All), Stop::Over);
    assert_eq!(session.rows()[0].text, "is done: returned 0");
    assert_eq!(objects(session.machine(), &session.runners()).len(), 0);
}

#[test]
fn runs_stop_at_breaks_and_changes() {
    let mut session = counting();
    assert!(session.toggle_break(Break::Function("nothing".into())).is_err());
    assert_eq!(session.toggle_break(Break::Function("destroy".into())), Ok(true));
    assert_eq!(session.toggle_watch("slots[0].live"), Ok(true));
    assert!(session.toggle_watch("nothing").is_err());
    assert_eq!(run(&mut session, Whom::All), Stop::Break("destroy()".to_owned()));
    assert_eq!((session.selected().actor, insn(&session, 1)), (Actor(1), Some(0)));
    let stop = run(&mut session, Whom::All);
    assert!(
        matches!(&stop, Stop::Changed(what, before, after) if what == "slots[0].live" && before.contains("counter") && after == "NULL"),
        "{stop:?}"
    );
    assert_eq!(run(&mut session, Whom::All), Stop::Over);
    session.to_start();
    session.clear_stops();
    assert_eq!(run(&mut session, Whom::All), Stop::Over);
}

#[test]
fn a_line_is_left_by_a_step_of_a_line() {
    let mut session = counting();
    session.step_instruction();
    let line = |session: &Session| {
        let place = session.state(Actor(0)).expect("it runs").place;
        let program = session.machine().programs()[place.program as usize].source().clone();
        program.line_at(place.insn as usize).map(|line| line.line)
    };
    for _ in 0..3 {
        let before = line(&session);
        assert_eq!(session.step_line(true), Stop::Done);
        assert_ne!(line(&session), before);
    }
}

#[test]
fn what_goes_wrong_is_found_where_it_does() {
    let mut session = session(&["create"], &["0:count", "1:sum"], |builder| builder);
    assert_eq!(run(&mut session, Whom::All), Stop::Finding("data-race".to_owned()));
    assert!(session.over().is_none(), "a race ends no run");
    let findings = session.findings().len();
    assert!(session.back_step());
    assert!(session.findings().len() < findings, "what comes later is not known yet");
}

#[test]
fn a_step_that_is_broken_off_is_taken_back() {
    let mut session = counting();
    let interrupt = Interrupt::default();
    session.break_off_by(&interrupt);
    while session.done().len() < 4 {
        session.step_schedule();
    }
    let before = shown(&session);
    interrupt.ask();
    assert_eq!(session.step_schedule(), Stop::Interrupted);
    assert_eq!(session.take_broken_off(), Some("stopped in the middle of a step, which was taken back"));
    assert_eq!((shown(&session), interrupt.is_asked()), (before, false));
    assert_eq!((session.step_schedule(), session.take_broken_off()), (Stop::Done, None), "and can be taken again");
}

#[test]
fn going_back_can_be_broken_off_on_the_way() {
    let mut session = counting();
    let interrupt = Interrupt::default();
    session.break_off_by(&interrupt);
    assert_eq!(run(&mut session, Whom::All), Stop::Over);
    let (end, token) = (session.done().len(), session.token());
    interrupt.ask();
    assert!(session.back());
    assert!(session.take_broken_off().is_some());
    assert_eq!((session.done().len(), session.plan().len()), (0, end), "all of it is the plan");
    assert!(!session.back(), "and no move is left");
    assert_eq!(run(&mut session, Whom::Plan), Stop::Over);
    assert_eq!(session.token(), token);
}

#[test]
fn what_runs_last_can_be_broken_off_and_tried_again() {
    let last = |builder: crate::scenario::words::Builder| builder.last("sum".parse().expect("a program"));
    let mut session = session(&["create"], &["0:count", "1:count"], last);
    let mut other = session.clone();
    assert_eq!(run(&mut other, Whom::All), Stop::Over);
    let interrupt = Interrupt::default();
    session.break_off_by(&interrupt);
    let steps = other.done().len();
    let begun = session.begin(Whom::All);
    assert_eq!(session.go_on(begun, steps - 1), Stop::Budget);
    // Asked behind the last look of the last step: what runs last sees it.
    let choice = session.possible()[0];
    assert!(session.perform(choice).is_ok());
    session.show_with_last(choice.actor);
    interrupt.ask();
    session.conclude();
    assert!(session.over().is_none() && session.possible().is_empty());
    assert!(session.take_broken_off().is_some_and(|what| what.contains("run last")));
    session.conclude();
    let outcome = |session: &Session| session.over().and_then(|over| over.outcome.clone());
    assert!(outcome(&session).is_some());
    assert_eq!(outcome(&session), outcome(&other));
}
