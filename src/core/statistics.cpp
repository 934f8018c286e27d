#include "statistics.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "float_environment.h"
#include "run.h"
#include "threads.h"

namespace leaky {
namespace {

// Parts of the samples that are counted apart and put together in order. As the sums depend on them they depend on the
// shape alone: no more than keep many cores busy, and so large that putting them together does not tell.
constexpr std::size_t kMostParts = 8;
constexpr std::size_t kNumbersOfPart = std::size_t(1) << 17;
constexpr std::size_t kPositionsOfPart = 256;  // of each unit

// Parts of the units: as much as a thread is given at a time.
constexpr std::size_t kNumbersOfPiece = std::size_t(1) << 16;
constexpr std::size_t kUnitsSideBySide = 64;  // whole lines of cache

// In bytes. From there on a second thread brings more than waking it costs.
constexpr std::size_t kParallel = std::size_t(1) << 18;

constexpr std::size_t divided(std::size_t count, std::size_t by) { return (count + by - 1) / by; }

struct Plan {
    std::size_t samples_of_part, parts;
    std::size_t units_of_piece, pieces_of_part;

    explicit Plan(const Tensor& t) {
        const std::size_t most = std::min({kMostParts, t.count() / kNumbersOfPart,
                                           t.samples * t.positions() / kPositionsOfPart});
        samples_of_part = divided(t.samples, std::max<std::size_t>(most, 1));
        parts = divided(t.samples, samples_of_part);
        const std::size_t together = t.after > 1 ? 1 : kUnitsSideBySide;
        const std::size_t pieces = std::clamp<std::size_t>(t.count() / parts / kNumbersOfPiece, 1, t.units);
        units_of_piece = divided(divided(t.units, pieces), together) * together;
        pieces_of_part = divided(t.units, units_of_piece);
    }
};

void clear(const Rows& rows, std::size_t units) {
    std::fill_n(rows.active_samples, 5 * units, 0);
    std::fill_n(rows.smallest, units, std::numeric_limits<double>::infinity());
    std::fill_n(rows.largest, units, -std::numeric_limits<double>::infinity());
    std::fill_n(rows.total, 3 * units, 0.0);
}

void add(const Rows& rows, const Rows& more, std::size_t units) {
    for (std::size_t i = 0; i < 5 * units; ++i) rows.active_samples[i] += more.active_samples[i];
    for (std::size_t i = 0; i < units; ++i) rows.smallest[i] = std::min(rows.smallest[i], more.smallest[i]);
    for (std::size_t i = 0; i < units; ++i) rows.largest[i] = std::max(rows.largest[i], more.largest[i]);
    for (std::size_t i = 0; i < 3 * units; ++i) rows.total[i] += more.total[i];
}

struct Job {
    void (*kernel)(const Portion&);
    Tensor tensor;
    Limits limits;
    Plan plan;
    std::vector<Rows> rows;  // of each part

    void piece(std::size_t i) const {
        const FloatEnvironment<float> environment;
        const std::size_t part = i / plan.pieces_of_part, sample = part * plan.samples_of_part;
        const std::size_t unit = i % plan.pieces_of_part * plan.units_of_piece;
        kernel({tensor, limits, sample, std::min(sample + plan.samples_of_part, tensor.samples), unit,
                std::min(unit + plan.units_of_piece, tensor.units), rows[part]});
    }
};

void do_piece(const void* job, std::size_t i) { static_cast<const Job*>(job)->piece(i); }

}  // namespace

Rows::Rows(void* block, std::size_t units) {
    auto* const integers = static_cast<std::int64_t*>(block);
    active_samples = integers;
    active_positions = integers + units;
    low = integers + 2 * units;
    high = integers + 3 * units;
    nonfinite = integers + 4 * units;
    auto* const doubles = reinterpret_cast<double*>(integers + 5 * units);
    smallest = doubles;
    largest = doubles + units;
    total = doubles + 2 * units;
    total_squares = doubles + 3 * units;
    total_positive = doubles + 4 * units;
}

void statistics(Type type, const Tensor& tensor, Limits limits, void* block) {
    const FloatEnvironment<float> environment;
    const Rows result(block, tensor.units);
    clear(result, tensor.units);
    if (tensor.count() == 0) return;

    Job job{instruction_set().tallies->table[static_cast<std::size_t>(type)], tensor, limits, Plan(tensor), {result}};
    const Plan& plan = job.plan;
    const std::size_t words = kRows * tensor.units;
    std::vector<std::int64_t> more((plan.parts - 1) * words);
    for (std::size_t part = 1; part < plan.parts; ++part) {
        job.rows.emplace_back(&more[(part - 1) * words], tensor.units);
        clear(job.rows.back(), tensor.units);
    }
    const std::size_t pieces = plan.parts * plan.pieces_of_part;
    if (tensor.count() * size_of(type) < kParallel) {
        for (std::size_t i = 0; i < pieces; ++i) job.piece(i);
    } else {
        in_parallel(pieces, do_piece, &job);
    }
    for (std::size_t part = 1; part < plan.parts; ++part) add(result, job.rows[part], tensor.units);
}

}  // namespace leaky
