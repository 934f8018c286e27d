// Every alignment and length, in place and not, between pages that must not be touched.

#include "guarded.h"
#include "harness.h"

namespace harness {
namespace {

constexpr std::size_t kLongest = 4096;
constexpr std::size_t kShifts = Guarded::kShifts;

enum class Place { apart, in_x, in_grad };

template <class T>
class Layouts {
public:
    Layouts(const InstructionSet& set, Type type) : set_(set), type_(type) {}

    void check(Operation op, std::size_t n, std::size_t shift, bool at_end, Place place, bool stream) {
        const std::size_t bytes = n * sizeof(T), mask_bytes = (n + 7) / 8;
        Run run;
        run.count = n;
        run.slope = 0.2;
        run.x = x_.data();
        run.grad = grad_.data();
        run.y = expected_.data();
        run.mask = expected_mask_.data();
        if (reads_mask(op)) std::memcpy(run.mask, bits_.data(), mask_bytes);
        reference<T>(op, run);

        unsigned char* const x = x_room_.place(bytes, shift, at_end);
        unsigned char* const grad = grad_room_.place(bytes, shift, at_end);
        unsigned char* const mask = mask_room_.place(mask_bytes, shift, at_end);
        Guarded& room = place == Place::in_x ? x_room_ : place == Place::in_grad ? grad_room_ : y_room_;
        unsigned char* const y =
            place == Place::in_x ? x : place == Place::in_grad ? grad : y_room_.place(bytes, shift, at_end);
        std::memcpy(x, x_.data(), bytes);
        std::memcpy(grad, grad_.data(), bytes);
        if (reads_mask(op)) std::memcpy(mask, bits_.data(), mask_bytes);
        run.x = x;
        run.grad = grad;
        run.y = y;
        run.mask = mask;
        run.stream = stream;
        (*set_.kernels)(op, type_)(run);

        const char* wrong = nullptr;
        if (writes_y(op) && std::memcmp(y, expected_.data(), bytes)) wrong = "wrong numbers";
        if (writes_mask(op) && std::memcmp(mask, expected_mask_.data(), mask_bytes)) wrong = "wrong mask";
        if (!room.untouched_around(y, bytes) || !mask_room_.untouched_around(mask, mask_bytes)) wrong = "wrote outside";
        if (wrong)
            fail("%s %s %s, %zu elements, %zu bytes off the page %s, %s, %s: %s", set_.name, name_of(op), name_of(type_),
                 n, shift, at_end ? "behind" : "before", stream ? "streaming" : "storing",
                 place == Place::apart ? "out of place" : "in place", wrong);
    }

private:
    InstructionSet set_;
    Type type_;
    std::vector<T> x_ = any_numbers<T>(kLongest, 1), grad_ = any_numbers<T>(kLongest, 2);
    std::vector<T> expected_ = std::vector<T>(kLongest);
    std::vector<unsigned char> bits_ = any_numbers<unsigned char>(kLongest / 8, 3);
    std::vector<unsigned char> expected_mask_ = std::vector<unsigned char>(kLongest / 8);
    Guarded x_room_{kLongest * sizeof(T)}, grad_room_{kLongest * sizeof(T)}, y_room_{kLongest * sizeof(T)};
    Guarded mask_room_{kLongest / 8};
};

// Where the output lies lower than the input, and over part of it, as NumPy allows.
template <class T>
void check_overlap(const InstructionSet& set, Type type, std::size_t behind) {
    const std::size_t n = 1000;
    std::vector<T> buffer = any_numbers<T>(n + behind, 4), expected(n);
    Run run;
    run.count = n;
    run.slope = 0.2;
    run.x = buffer.data() + behind;
    run.y = expected.data();
    reference<T>(Operation::forward, run);
    run.y = buffer.data();
    (*set.kernels)(Operation::forward, type)(run);
    if (std::memcmp(buffer.data(), expected.data(), n * sizeof(T)))
        fail("%s forward %s, output %zu elements before the input: wrong numbers", set.name, name_of(type), behind);
}

}  // namespace

void check_layouts() {
    const std::vector<InstructionSet> sets = supported();
    constexpr std::size_t parts = 8;
    everywhere(sets.size() * parts, [&](std::uint64_t task) {
        const InstructionSet& set = sets[task / parts];
        const std::size_t part = task % parts;

        // float32 forward: every length with every alignment.
        Layouts<float> floats(set, Type::float32);
        for (std::size_t n = part; n <= kLongest; n += parts)
            for (std::size_t shift = 0; shift < kShifts; ++shift)
                floats.check(Operation::forward, n, shift, (n + shift) / parts & 1, Place::apart, n & parts);

        // The rest: lengths around the blocks, and one in some, with some alignments.
        for_each_type([&](auto zero, Type type) {
            using T = decltype(zero);
            Layouts<T> layouts(set, type);
            for (std::size_t n = part; n <= kLongest; n += n < 200 ? parts : 27 * parts)
                for (const Operation op : kAllOperations)
                    for (const std::size_t shift : {std::size_t(0), sizeof(T), std::size_t(16), std::size_t(61)})
                        for (const bool at_end : {false, true}) {
                            for (const bool stream : {false, true})
                                layouts.check(op, n, shift, at_end, Place::apart, stream);
                            if (writes_y(op) && reads_x(op)) layouts.check(op, n, shift, at_end, Place::in_x, false);
                            if (reads_grad(op)) layouts.check(op, n, shift, at_end, Place::in_grad, false);
                        }
            for (const std::size_t behind : {1, 3, 63, 64, 65, 500}) check_overlap<T>(set, type, behind);
        });
    });
}

}  // namespace harness
