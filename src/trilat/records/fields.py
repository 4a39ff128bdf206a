r"""Field types shared by the records: validated ranges, units in the names of the fields that use them.

The constraints are checked by msgspec when a record is decoded; NaN and infinities fail every range. `$` alone would let a line
end through at the end of a text, and JSON Schema does not know `\Z`: hence `$(?!\n)`.
"""

from typing import Annotated, Literal

from msgspec import Meta

# ISO 3166-1 alpha-3 code of a nation, upper case ("JPN"); PUBLIC is an audience, never a nation.
Trigraph = Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)")]
# Whom something is released to: a nation, or PUBLIC.
Audience = Annotated[str, Meta(pattern=r"^([A-Z]{3}|PUBLIC)$(?!\n)")]
# flash: warnings and what answers them; state: plots, tracklets, tracks; history: backfill and bulk. A connection each.
Lane = Literal["flash", "state", "history"]
# Identifiers we or an operator choose: sensor ids, exercise ids, feed names.
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$(?!\n)")]
ShortText = Annotated[str, Meta(max_length=200)]
Text = Annotated[str, Meta(max_length=4000)]

# UTC nanoseconds since 1970; the upper bound is the year 2200, well inside int64.
TimeNs = Annotated[int, Meta(ge=0, le=7_258_118_400_000_000_000)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]

LatDeg = Annotated[float, Meta(ge=-90.0, le=90.0)]
LonDeg = Annotated[float, Meta(ge=-180.0, le=180.0)]
# WGS-84 ellipsoidal height: below the deepest trench's surface never, up to beyond geostationary orbit.
AltM = Annotated[float, Meta(ge=-12_000.0, le=100_000_000.0)]
RangeM = Annotated[float, Meta(ge=0.0, le=100_000_000.0)]
AzimuthRad = Annotated[float, Meta(ge=0.0, lt=6.283185307179587)]
ElevationRad = Annotated[float, Meta(ge=-1.5707963267948966, le=1.5707963267948966)]
# Ground or space speed; 20 km/s is above every Earth-bound flight.
SpeedMS = Annotated[float, Meta(ge=0.0, le=20_000.0)]
VelocityMS = Annotated[float, Meta(ge=-20_000.0, le=20_000.0)]
SigmaM = Annotated[float, Meta(gt=0.0, le=10_000_000.0)]
SigmaRad = Annotated[float, Meta(gt=0.0, le=6.283185307179587)]
SigmaMS = Annotated[float, Meta(gt=0.0, le=20_000.0)]
Probability = Annotated[float, Meta(ge=0.0, le=1.0)]
Finite = Annotated[float, Meta(ge=-1e18, le=1e18)]
Sha256 = Annotated[bytes, Meta(min_length=32, max_length=32)]
