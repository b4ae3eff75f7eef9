//! Picking what runs where: the programs of an object, put on CPUs.

use ratatui::crossterm::event::KeyCode;

use crate::object::Program;
use crate::scenario::MAX_CPUS;

/// The programs of an object, and where they are to run.
#[derive(Clone, Debug)]
pub struct Picker {
    /// The object's name.
    pub object: String,
    /// The programs: name and section.
    pub programs: Vec<(String, String)>,
    /// The chosen one.
    pub chosen: usize,
    /// What each CPU runs, in the order in which it was put there.
    pub on: Vec<Vec<usize>>,
    /// The CPU to which programs are added.
    pub cpu: usize,
    /// Is it the verifier's path that is asked for?
    pub verify: bool,
}

impl Picker {
    /// Nothing picked yet.
    #[must_use]
    pub fn new(object: &str, programs: &[Program]) -> Picker {
        let programs = programs.iter().map(|program| (program.name.clone(), program.section.name.clone()));
        Picker {
            object: object.to_owned(),
            programs: programs.collect(),
            chosen: 0,
            on: vec![Vec::new()],
            cpu: 0,
            verify: false,
        }
    }

    /// Takes a key.
    pub fn key(&mut self, key: KeyCode) {
        let count = self.programs.len().max(1);
        match key {
            KeyCode::Down | KeyCode::Char('j') => self.chosen = (self.chosen + 1) % count,
            KeyCode::Up | KeyCode::Char('k') => self.chosen = (self.chosen + count - 1) % count,
            KeyCode::Char('a' | ' ') if self.on[self.cpu].len() < 64 => self.on[self.cpu].push(self.chosen),
            KeyCode::Char('d') | KeyCode::Backspace => drop(self.on[self.cpu].pop()),
            KeyCode::Char('n') | KeyCode::Right if self.cpu + 1 < MAX_CPUS as usize => {
                self.cpu += 1;
                if self.cpu == self.on.len() {
                    self.on.push(Vec::new());
                }
            }
            KeyCode::Char('p') | KeyCode::Left => self.cpu = self.cpu.saturating_sub(1),
            _ => {}
        }
    }

    /// What runs where; the chosen program on CPU 0 if nothing was put anywhere.
    #[must_use]
    pub fn tasks(&self) -> Vec<(u32, Vec<String>)> {
        let name = |&index: &usize| self.programs.get(index).map(|(name, _)| name.clone());
        let on = self.on.iter().enumerate().filter(|(_, programs)| !programs.is_empty());
        let tasks: Vec<_> =
            on.map(|(cpu, programs)| (cpu as u32, programs.iter().filter_map(name).collect())).collect();
        if tasks.is_empty() { vec![(0, name(&self.chosen).into_iter().collect())] } else { tasks }
    }
}
