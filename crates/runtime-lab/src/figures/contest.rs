//! Two contenders that take turns, so that whatever the machine does meanwhile happens to both.

use super::error::FiguresError;
use super::spread::Spread;

/// One unmeasured round, then `rounds` measured ones. Who begins changes from round to round.
pub(crate) async fn take_turns(
    rounds: u32,
    mut ours: impl AsyncFnMut() -> Result<f64, FiguresError>,
    mut baseline: impl AsyncFnMut() -> Result<f64, FiguresError>,
) -> Result<(Spread, Spread), FiguresError> {
    let (mut of_ours, mut of_baseline) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let (our, their);
        if round % 2 == 0 {
            our = ours().await?;
            their = baseline().await?;
        } else {
            their = baseline().await?;
            our = ours().await?;
        }
        if round > 0 {
            of_ours.push(our);
            of_baseline.push(their);
        }
    }
    Ok((Spread::of(of_ours), Spread::of(of_baseline)))
}
