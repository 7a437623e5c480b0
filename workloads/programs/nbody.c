/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbody: the Sun and four planets pull at each other; every number is a float object in a slot. It
 * stands for numeric code without arrays: simulations, geometry, finance. Known from the Computer
 * Language Benchmarks Game, whose energies after 0 and 1000 steps are the known answer.
 */
#include "workload.h"

#include <math.h>

enum { BODIES = 5, PAIRS = BODIES * (BODIES - 1) / 2, STEPS = 1000, STEPS_PER_RUN = 25 };
enum { POSITION = 0, VELOCITY = 3, MASS = 6, FIELDS = 7, AXES = 3 };

#define DAYS_PER_YEAR   365.24
#define SOLAR_MASS      (4 * M_PI * M_PI)
#define STEP_YEARS      0.01
#define ENERGY_AT_START (-0.169075164)
#define ENERGY_AT_END   (-0.169087605) /* after STEPS */
#define ENERGY_DIGIT    1e-9

static const char *const slots[] = {"x", "y", "z", "vx", "vy", "vz", "mass", NULL};

/* Astronomical units, those a day, and masses of the Sun. */
static const double planets[BODIES][FIELDS] = {
    {0, 0, 0, 0, 0, 0, 1},
    {4.84143144246472090e+00, -1.16032004402742839e+00, -1.03622044471123109e-01,
     1.66007664274403694e-03, 7.69901118419740425e-03, -6.90460016972063023e-05,
     9.54791938424326609e-04},
    {8.34336671824457987e+00, 4.12479856412430479e+00, -4.03523417114321381e-01,
     -2.76742510726411899e-03, 4.99852801234917238e-03, 2.30417297573763929e-05,
     2.85885980666130812e-04},
    {1.28943695621391310e+01, -1.51111514016986312e+01, -2.23307578892655734e-01,
     2.96460137564761618e-03, 2.37847173959480950e-03, -2.96589568540237556e-05,
     4.36624404335156298e-05},
    {1.53796971148509165e+01, -2.59193146099879641e+01, 1.79258772950371181e-01,
     2.68067772490389322e-03, 1.62824170038242295e-03, -9.51592254519715870e-05,
     5.15138902046611451e-05},
};

struct shared {
    tally_object *class_;
};

struct local {
    tally_object *bodies; /* a list of instances */
    tally_object *step;   /* STEP_YEARS */
    unsigned done;        /* steps since the start */
};

static void setup(struct shared *shared, const workload_context *context) {
    shared->class_ = workload_keep_class(context, "Body", slots);
}

static double value_of(tally_object *body, ptrdiff_t slot) {
    tally_object *number = workload_object(tally_slot_get(body, slot));
    double value = tally_float_value(number);
    tally_decref(number);
    return value;
}

/* Where all began; the Sun's velocity makes the momentum of the whole 0. */
static void start(struct local *local) {
    double momentum[AXES] = {0, 0, 0};
    for (ptrdiff_t i = BODIES - 1; i >= 0; i--) {
        tally_object *body = workload_object(tally_list_get(local->bodies, i));
        for (ptrdiff_t axis = 0; axis < AXES; axis++) {
            double velocity = i > 0 ? planets[i][VELOCITY + axis] * DAYS_PER_YEAR : -momentum[axis];
            momentum[axis] += velocity * planets[i][MASS];
            workload_slot_put(body, POSITION + axis, tally_float_new(planets[i][POSITION + axis]));
            workload_slot_put(body, VELOCITY + axis, tally_float_new(velocity));
        }
        workload_slot_put(body, MASS, tally_float_new(planets[i][MASS] * SOLAR_MASS));
        tally_decref(body);
    }
    local->done = 0;
}

static double energy_between(tally_object *a, tally_object *b) {
    double square = 0;
    for (ptrdiff_t axis = 0; axis < AXES; axis++) {
        double distance = value_of(a, POSITION + axis) - value_of(b, POSITION + axis);
        square += distance * distance;
    }
    return value_of(a, MASS) * value_of(b, MASS) / sqrt(square);
}

static void check_energy(struct local *local, double known) {
    double energy = 0;
    for (ptrdiff_t i = 0; i < BODIES; i++) {
        tally_object *a = workload_object(tally_list_get(local->bodies, i));
        double square = 0;
        for (ptrdiff_t axis = 0; axis < AXES; axis++)
            square += value_of(a, VELOCITY + axis) * value_of(a, VELOCITY + axis);
        energy += value_of(a, MASS) * square / 2;
        for (ptrdiff_t j = i + 1; j < BODIES; j++) {
            tally_object *b = workload_object(tally_list_get(local->bodies, j));
            energy -= energy_between(a, b);
            tally_decref(b);
        }
        tally_decref(a);
    }
    if (!(fabs(energy - known) <= ENERGY_DIGIT / 2))
        workload_fail("the energy after %u steps is %.9f, not %.9f", local->done, energy, known);
}

static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    local->step = workload_keep(context, tally_float_new(STEP_YEARS), 1);
    local->bodies = workload_keep(context, tally_list_new(BODIES), 1);
    for (unsigned i = 0; i < BODIES; i++)
        workload_append(local->bodies, tally_instance_new(shared->class_));
    start(local);
    check_energy(local, ENERGY_AT_START);
}

/* body.slot = change(body.slot, a * b) */
static void update(tally_object *body, ptrdiff_t slot,
                   tally_object *(*change)(tally_object *, tally_object *), tally_object *a,
                   tally_object *b) {
    tally_object *old = workload_object(tally_slot_get(body, slot));
    tally_object *product = workload_object(tally_multiply(a, b));
    workload_slot_put(body, slot, change(old, product));
    tally_decref(product);
    tally_decref(old);
}

/* a.slot - b.slot */
static tally_object *difference(tally_object *a, tally_object *b, ptrdiff_t slot) {
    tally_object *of_a = workload_object(tally_slot_get(a, slot));
    tally_object *of_b = workload_object(tally_slot_get(b, slot));
    tally_object *result = workload_object(tally_subtract(of_a, of_b));
    tally_decref(of_b);
    tally_decref(of_a);
    return result;
}

/* step / distance^3; the power is a native function, as math.pow is. */
static tally_object *magnitude(tally_object *const *distance, tally_object *step) {
    tally_object *square = workload_object(tally_multiply(distance[0], distance[0]));
    for (unsigned axis = 1; axis < AXES; axis++) {
        tally_object *more = workload_object(tally_multiply(distance[axis], distance[axis]));
        tally_object *sum = workload_object(tally_add(square, more));
        tally_decref(more);
        tally_decref(square);
        square = sum;
    }
    double value = tally_float_value(square);
    tally_object *cube = workload_object(tally_float_new(value * sqrt(value)));
    tally_object *result = workload_object(tally_divide(step, cube));
    tally_decref(cube);
    tally_decref(square);
    return result;
}

static tally_object *force_of(tally_object *body, tally_object *magnitude) {
    tally_object *mass = workload_object(tally_slot_get(body, MASS));
    tally_object *force = workload_object(tally_multiply(mass, magnitude));
    tally_decref(mass);
    return force;
}

static void pull(tally_object *a, tally_object *b, tally_object *step) {
    tally_object *distance[AXES];
    for (ptrdiff_t axis = 0; axis < AXES; axis++)
        distance[axis] = difference(a, b, POSITION + axis);
    tally_object *common = magnitude(distance, step);
    tally_object *of_a = force_of(a, common), *of_b = force_of(b, common);
    for (ptrdiff_t axis = 0; axis < AXES; axis++) {
        update(a, VELOCITY + axis, tally_subtract, distance[axis], of_b);
        update(b, VELOCITY + axis, tally_add, distance[axis], of_a);
        tally_decref(distance[axis]);
    }
    tally_decref(of_b);
    tally_decref(of_a);
    tally_decref(common);
}

static void move(tally_object *body, tally_object *step) {
    for (ptrdiff_t axis = 0; axis < AXES; axis++) {
        tally_object *velocity = workload_object(tally_slot_get(body, VELOCITY + axis));
        update(body, POSITION + axis, tally_add, velocity, step);
        tally_decref(velocity);
    }
}

static void advance(struct local *local) {
    for (ptrdiff_t i = 0; i < BODIES; i++) {
        tally_object *a = workload_object(tally_list_get(local->bodies, i));
        for (ptrdiff_t j = i + 1; j < BODIES; j++) {
            tally_object *b = workload_object(tally_list_get(local->bodies, j));
            pull(a, b, local->step);
            tally_decref(b);
        }
        /* All later pairs are without it. */
        move(a, local->step);
        tally_decref(a);
        tally_safepoint();
    }
    if (++local->done == STEPS) {
        check_energy(local, ENERGY_AT_END);
        start(local);
    }
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    for (unsigned i = 0; i < STEPS_PER_RUN; i++) advance(local);
    return (uint64_t)STEPS_PER_RUN * PAIRS;
}

/* To the known answer, however short the samples were. */
static void leave(struct shared *shared, struct local *local, const workload_context *context) {
    while (local->done > 0) advance(local);
}

WORKLOAD(nbody, .name = "nbody", .kind = PROGRAMS,
         .description =
             "Planets as instances whose numbers are float objects: simulations without arrays.",
         .unit = "pairs of bodies", .read_only = true, .not_quick = true, SHARED_STATE, LOCAL_STATE,
         .setup = setup, .enter = enter, .run = run, .leave = leave);
