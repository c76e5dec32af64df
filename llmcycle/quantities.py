"""Numbers with a range, for annotations of what a recipe may set: `check` refuses those outside."""

from typing import Annotated, Literal, TypeAlias

from annotated_types import Ge, Gt, Interval

Count: TypeAlias = Annotated[int, Ge(1)]
Length: TypeAlias = Annotated[int, Ge(2)]  # tokens of a row: each but the first is foretold
CountOrZero: TypeAlias = Annotated[int, Ge(0)]
Positive: TypeAlias = Annotated[float, Gt(0)]
NotNegative: TypeAlias = Annotated[float, Ge(0)]
Share: TypeAlias = Annotated[float, Interval(ge=0, le=1)]
PositiveShare: TypeAlias = Annotated[float, Interval(gt=0, le=1)]
InnerShare: TypeAlias = Annotated[float, Interval(gt=0, lt=1)]
ShareBelowHalf: TypeAlias = Annotated[float, Interval(ge=0, lt=0.5)]
ShareBelowOne: TypeAlias = Annotated[float, Interval(ge=0, lt=1)]
Dtype: TypeAlias = Literal["float32", "bfloat16", "float16", "float64"]  # as torch calls them
DtypeOrAuto: TypeAlias = Dtype | Literal["auto"]  # "auto" as the weights were saved
