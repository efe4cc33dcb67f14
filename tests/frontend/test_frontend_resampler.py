"""The page's resampler, run in the browser: exact position, no aliases, no drift."""

import pytest
from playwright.async_api import Page

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONVERT = """async ([from, to, hertz, seconds, chunk]) => {
  const { createResampler } = await import("/js/resampler.js");
  const resampler = createResampler(from, to, from);
  const total = Math.round(from * seconds);
  const output = new Float32Array(Math.ceil(to * seconds) + 16);
  let made = 0;
  for (let start = 0; start < total; start += chunk) {
    const input = new Float32Array(Math.min(chunk, total - start));
    for (let n = 0; n < input.length; n += 1) input[n] = Math.sin((2 * Math.PI * hertz * (start + n)) / from);
    if (!resampler.push(input)) throw new Error("input was dropped");
    made += resampler.pull(output, made, output.length - made);
  }
  resampler.finish();
  made += resampler.pull(output, made, output.length - made);
  let signal = 0;
  let noise = 0;
  let energy = 0;
  for (let n = 200; n < made - 200; n += 1) {
    const ideal = Math.sin((2 * Math.PI * hertz * n) / to);
    signal += ideal * ideal;
    noise += (output[n] - ideal) ** 2;
    energy += output[n] ** 2;
  }
  const decibels = (ratio) => 10 * Math.log10(ratio);
  return { made, snr: decibels(signal / noise), gain: decibels(energy / signal), exhausted: resampler.exhausted() };
}"""


@pytest.mark.parametrize(
    ("source", "target", "chunk"),
    [
        pytest.param(44_100, 16_000, 128, id="capture at 44.1 kHz"),
        pytest.param(48_000, 16_000, 128, id="capture at 48 kHz"),
        pytest.param(16_000, 16_000, 128, id="capture at 16 kHz"),
        pytest.param(24_000, 44_100, 2400, id="playback at 44.1 kHz"),
        pytest.param(24_000, 48_000, 2400, id="playback at 48 kHz"),
        pytest.param(24_000, 48_000, 331, id="playback of odd chunks"),
        pytest.param(24_000, 16_000, 2400, id="playback at 16 kHz"),
    ],
)
async def test_a_tone_stays_the_tone_for_ten_seconds(blank: Page, source: int, target: int, chunk: int) -> None:
    # Sample by sample against the ideal tone at the same times: a shift or drift of a thousandth of a sample shows.
    result = await blank.evaluate(CONVERT, [source, target, 1000, 10, chunk])
    assert result["snr"] > 75
    assert result["made"] == 10 * target
    assert result["exhausted"]


@pytest.mark.parametrize(("source", "hertz"), [(48_000, 9_000), (44_100, 12_000), (48_000, 20_000)])
async def test_what_16_khz_cannot_carry_is_removed(blank: Page, source: int, hertz: int) -> None:
    result = await blank.evaluate(CONVERT, [source, 16_000, hertz, 1, 128])
    assert result["gain"] < -75


async def test_speech_up_to_7_khz_passes(blank: Page) -> None:
    result = await blank.evaluate(CONVERT, [48_000, 16_000, 6_800, 1, 128])
    assert abs(result["gain"]) < 0.5


async def test_a_flood_is_refused_and_not_kept(blank: Page) -> None:
    taken = await blank.evaluate(
        """async () => {
          const { createResampler } = await import("/js/resampler.js");
          const resampler = createResampler(24000, 48000, 24000);
          let taken = 0;
          for (let n = 0; n < 100; n += 1) taken += resampler.push(new Float32Array(2400)) ? 1 : 0;
          return taken;
        }"""
    )
    assert taken == 10
