"""A second bill, in fractions and straight from the tariff file: nothing of the rate tables or kernels is used."""

from datetime import date
from fractions import Fraction
from math import floor

from twin.economics.arms import ArmTariff
from twin.hours import holds

HALF = Fraction(1, 2)


def exact(value):
    return Fraction(str(value))


def paise(inr):
    return floor(inr * 100 + HALF)


def choose_plan(arm, category, kw, smart):
    own, base = arm.settings.time_of_day, arm.tariff.base_time_of_day(category)
    if own and category in own.categories and kw >= exact(own.min_kw) and (smart or not own.requires_smart_meter):
        return {n: (p.hours, exact(p.multiplier)) for n, p in own.periods.items()}, own.applies_to, True
    if (
        base
        and category in base.categories
        and kw > exact(base.above_kw.value)
        and (smart or not base.requires_smart_meter)
    ):
        return {n: (p.hours, exact(p.multiplier.value)) for n, p in base.periods.items()}, base.applies_to, False
    return {}, "gross", False


def bill(arm: ArmTariff, zones, on: date, category, kw, kva, smart, power_factor, wh, days, slab_days, month_days):
    """Paise of energy, fixed, duty, rebate, subsidy, total. All arguments whole numbers or fractions."""
    tariff, part = arm.tariff, arm.tariff.categories[category]
    periods, applies_to, on_arm = choose_plan(arm, category, kw, smart)
    names = [
        next((n for n, (h, _) in periods.items() if holds(h, zones.first_minute(z))), "normal") for z in range(len(wh))
    ]
    factor = [periods[name][1] if name in periods else Fraction(1) for name in names]
    critical = arm.settings.critical_peak
    if critical is not None and on_arm:
        factor = [exact(critical.multiplier) if called(zones, z, critical) else f for z, f in enumerate(factor)]
    use = [Fraction(x, 1000) for x in wh]
    if part.unit == "kVAh":
        use = [Fraction(floor(x / power_factor * 1000 + HALF), 1000) for x in use]
    total, share = sum(use), Fraction(slab_days, month_days)

    def to_wh(kwh):
        return Fraction(floor(kwh * 1000 + HALF), 1000)

    free_month = exact(tariff.free_kwh(category, on))
    free = to_wh(free_month * share)
    shape = arm.settings.free_units
    shaped = shape is not None and (on_arm or (arm.settings.time_of_day is None and smart))
    weighted = shaped and shape.weight is not None
    counted = sum(f * x for f, x in zip(factor, use, strict=True)) if weighted else total
    within = free > 0 and counted <= free

    if shaped and shape.per_period is not None and free > 0:
        billed = limited(use, names, {n: to_wh(exact(k) * share) for n, k in shape.per_period.items()}, free)
    elif within:
        billed = [Fraction(0)] * len(use)
    else:
        low = Fraction(floor(free * total / counted * 1000), 1000) if weighted and free > 0 else free
        billed = [x * (total - low) / total if total else Fraction(0) for x in use]
    gross_all, _ = energy(part, use, factor, applies_to, total, share)
    gross, granted = energy(part, billed, factor, applies_to, total, share)
    fuel = exact(surcharge(tariff, category, on))
    gross_all, gross = gross_all + fuel * total, gross + fuel * sum(billed)

    energy_paise, gross_paise, granted_paise = paise(gross_all), paise(gross), paise(granted)
    quantity = {
        "connection": 1,
        "kw": kw,
        "kva": kva or Fraction(floor(kw * 1000 / power_factor + HALF), 1000),
        "hp": kw / exact(0.746),
    }
    fixed = (
        0 if within else paise(exact(part.fixed.inr_per_month.value) * quantity[part.fixed.basis] * days / month_days)
    )
    base = gross_paise if tariff.duty.base == "energy_before_subsidy" else gross_paise - granted_paise
    duty = 0 if category in tariff.duty.exempt else floor(base * exact(tariff.duty.percent.value) / 100 + HALF)
    rebate = 0
    if smart and category in tariff.prepaid_rebate.categories:
        if tariff.prepaid_rebate.inr_per_kwh:
            rebate = paise(sum(billed) * exact(tariff.prepaid_rebate.inr_per_kwh.value))
        else:
            rebate = floor(gross_paise * exact(tariff.prepaid_rebate.percent_of_energy.value) / 100 + HALF)
        rebate = min(rebate, gross_paise - granted_paise)
    if shaped and shape.rebate is not None:
        unused = max(to_wh(free_month * days / month_days) - counted, 0)
        rebate += paise(unused * exact(shape.rebate.inr_per_kwh))
    events = arm.settings.peak_rebate
    if events is not None and smart and category in events.categories:
        rebate += paise(Fraction(below_usual(zones, events, on, wh, days), 1000) * exact(events.inr_per_kwh))
    subsidy = granted_paise + energy_paise - gross_paise
    return energy_paise, fixed, duty, rebate, subsidy, energy_paise + fixed + duty - rebate - subsidy


def surcharge(tariff, category, on):
    """Rupees per unit of the last row that has begun."""
    rate = 0
    for row in sorted(tariff.fuel_surcharge, key=lambda row: row.start):
        if row.start <= on:
            rate = 0 if category in row.exempt else row.inr_per_kwh.value
    return rate


def called(zones, zone, events):
    """Whether a zone is found in the event hours of a called day, by looking at that day's steps."""
    minutes = 1440 // zones.steps
    return any(
        holds(events.hours, step * minutes)
        for day in events.dates
        for step, own in enumerate(zones.event_days[day])
        if own == zone
    ) and zone not in set(zones.zone_of_step.tolist())


def below_usual(zones, events, on, wh, days):
    """Wh below the mean of the event hours on days without an event, for the events of the first ``days`` days."""
    n_events = sum(day.month == on.month and day.year == on.year and day.day <= days for day in events.dates)
    if n_events == 0 or days <= n_events:
        return 0
    inside = [z for z in range(len(wh)) if holds(events.hours, zones.first_minute(z))]
    used = sum(wh[z] for z in inside if called(zones, z, events))
    usual = sum(wh[z] for z in inside if not called(zones, z, events))
    return max(floor(Fraction(usual * n_events, days - n_events)) - used, 0)


def limited(use, names, limits, free):
    """Billed kWh by zone where free units are limited by period; free units are cut to the Wh."""
    groups = {n if n in limits else None for n in names}
    members = {g: [z for z, n in enumerate(names) if (n if n in limits else None) == g] for g in groups}
    used = {g: sum(use[z] for z in zs) for g, zs in members.items()}
    may = {g: min(used[g], limits[g]) if g is not None else used[g] for g in groups}
    eligible = sum(may.values())
    billed = list(use)
    for g, zs in members.items():
        grant = Fraction(floor(may[g] * free / eligible * 1000), 1000) if eligible > free else may[g]
        for z in zs:
            if used[g]:
                billed[z] = use[z] - Fraction(floor(use[z] * grant / used[g] * 1000), 1000)
    return billed


def energy(part, billed, factor, applies_to, total, share):
    """Charge before subsidy and subsidy of billed kWh, which are the month's last ones, each slab with the same mix."""
    units = sum(billed)
    if not units:
        return Fraction(0), Fraction(0)
    gross = granted = start = Fraction(0)
    for slab in part.slabs:
        end = total if slab.up_to_kwh is None else Fraction(floor(slab.up_to_kwh * share * 1000 + HALF), 1000)
        inside = max(min(end, total) - max(start, total - units), 0)
        start = end
        rate, support = exact(slab.energy.value), exact(slab.subsidy.value)
        for x, f in zip(billed, factor, strict=True):
            kwh = inside * x / units
            gross += kwh * rate * f
            granted += kwh * min(support * (f if applies_to == "after_subsidy" else 1), rate * f)
    return gross, granted
