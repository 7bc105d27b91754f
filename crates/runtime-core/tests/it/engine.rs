//! The engine against its contract: the replay rule. Each guard was taken out of the engine once; what failed then is in
//! the right column (`model` with the first seed that found it; what follows it is in `clauses` or `tables`).
//!
//! | without this guard | fails |
//! |---|---|
//! | results are given out one at a time | `model` 0, `order::branches_see_their_results_…` |
//! | a dispatch, a result and a wish are committed before they are seen | `model` 0, `commits::a_step_begins_when_…` |
//! | a lost `AtMostOnce` step waits for a verdict, which counts once | `model` 0, `unknown::an_at_most_once_…` |
//! | recorded steps are answered from the log | `model` 0, `ask::a_settled_step_…` |
//! | nothing begins before the whole log has been given out | `model` 18, `divergence::every_change_…` |
//! | request, effect and sort; a timer's time; step or timer: all are compared | `model` 2 to 82, `divergence` |
//! | an early end, a missing or a further step are found out | `model` 0 to 18, `divergence::every_change_…` |
//! | another state, or a loser that is not dropped again, is found out | `divergence` |
//! | `StepUnknown{Dropped}` is recorded | `model`, `ask::the_loser_of_a_select_…` |
//! | now is the time of the last entry given out, also at the first look | `model` 0, `time::now_is_…` |
//! | chance is the run's; names are counted in the order of the code | `model` 4 and 56, `time`, `order` |
//! | overdue timers run out in the order of their moments | `time::timers_that_are_overdue_…` |
//! | a window is looked at again when its dispatch is made, and when it is committed | `model` 38, `unknown` |
//! | an older dispatch is waited for | `model` 12, `unknown::an_idempotent_step_is_not_…` |
//! | once a person is asked, only the answer counts | `model` 846, `unknown::a_step_about_which_…` |
//! | no step begins after a wish to end, and refusals come in one order | `model` 832, 1288, 1572, `cancel` |
//! | the run ends by the wish's time and by its deadline, parked or not | `model` 28 and 644, `cancel`, `time` |
//! | no step begins in a pause, and a pause parks nothing | `model` 2 and 12, `waits` |
//! | a decision ends the wait, also during a replay and before a crash | `model` 284 and 434, `claim`, `unknown` |
//! | a claim records what was under way, and ends a cancelled run | `model` 0, `claim`, `cancel` |
//! | nothing is appended after the end; waits are closed once | `model` 0, `time` |
//! | contents are written before they are named; batches fit into a store | `model` 72, `commits`, `batches` |
//! | what causes nothing outside costs no commit | `waits::parking_writes_down_…` |
//! | the log has an end | `commits::a_log_has_an_end_…` |

mod attempt;
mod clauses;
mod laws;
mod life;
mod long;
mod model;
mod perform;
mod play;
mod program;
mod rehearsal;
mod scene;
mod suspects;
mod tables;
