//! Web pages, as a reader's browser shows them: headless Chromium loads what `kptrsim` writes, and steps through it.
//!
//! Without Chromium these tests are ignored, unless `KPTRSIM_REQUIRE_CHROMIUM=1` asks for it.

mod browser;
mod data;
mod looks;
mod pages;
mod stepping;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let required = std::env::var("KPTRSIM_REQUIRE_CHROMIUM").is_ok_and(|value| value == "1");
    let there = browser::chromium().is_some();
    assert!(there || !required, "KPTRSIM_REQUIRE_CHROMIUM=1, and there is no chromium");
    let in_browser: [(&str, fn()); 10] = [
        ("verdicts_and_counts_are_those_of_verify", pages::verdicts_and_counts_are_those_of_verify),
        ("results_of_a_run_are_those_of_run", pages::results_of_a_run_are_those_of_run),
        ("findings_and_outcomes_are_those_of_explore", pages::findings_and_outcomes_are_those_of_explore),
        ("hostile_names_stay_text", pages::hostile_names_stay_text),
        ("keys_and_mouse_step_through_a_path", stepping::keys_and_mouse_step_through_a_path),
        ("each_step_shows_the_state_of_the_data", stepping::each_step_shows_the_state_of_the_data),
        ("a_link_leads_to_its_step", stepping::a_link_leads_to_its_step),
        ("everything_has_a_name_and_a_place", looks::everything_has_a_name_and_a_place),
        ("text_can_be_read_in_light_and_dark", looks::text_can_be_read_in_light_and_dark),
        ("it_fits_on_a_phone", looks::it_fits_on_a_phone),
    ];
    let mut trials: Vec<Trial> = in_browser
        .into_iter()
        .map(|(name, test)| {
            let run = move || {
                test();
                Ok(())
            };
            Trial::test(name, run).with_ignored_flag(!there)
        })
        .collect();
    trials.push(Trial::test("a_page_is_one_file_and_always_the_same", || {
        pages::a_page_is_one_file_and_always_the_same();
        Ok(())
    }));
    trials.push(Trial::test("programs_that_run_last_are_stepped", || {
        pages::programs_that_run_last_are_stepped();
        Ok(())
    }));
    libtest_mimic::run(&arguments, trials).exit();
}
