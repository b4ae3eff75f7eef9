//! Other contents for a machine's arrays and globals, before anything runs.

use super::maps::MapFamily;
use super::stepper::Machine;

impl Machine {
    /// Lets `fill` change the bytes of each element of each array, globals that programs can write among them, of large arrays only of the
    /// first `most` elements. What the kernel keeps in a value (locks, timers, kptrs, lists, trees) stays as it is.
    pub fn fill_arrays(&mut self, most: u32, mut fill: impl FnMut(&mut [u8])) {
        for map in 0..self.maps.len() as u32 {
            let state = &self.maps[map as usize];
            let declared = self.object.maps.get(map as usize).and_then(|declared| declared.globals.as_ref());
            if state.family != MapFamily::Array || declared.is_some_and(|globals| globals.read_only) {
                continue;
            }
            let kept: Vec<_> = state.specials.fields.iter().map(|field| (field.offset, field.size)).collect();
            for index in 0..state.max_entries().min(most) {
                // Where memory is too small for an element, the program that needs it says so.
                let Ok(Some(first)) = self.array_element(map, index) else { return };
                let copies: Vec<_> = self.copies(map, first).collect();
                for region in copies {
                    let old = self.memory.peek(region).to_vec();
                    let mut new = old.clone();
                    fill(&mut new);
                    for &(offset, size) in &kept {
                        let range = offset as usize..offset as usize + size as usize;
                        if let (Some(new), Some(old)) = (new.get_mut(range.clone()), old.get(range)) {
                            new.copy_from_slice(old);
                        }
                    }
                    self.memory.poke(region, 0, &new);
                }
            }
        }
    }
}
