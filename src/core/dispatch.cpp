// Which kernels this CPU can run.

#include <stdexcept>

#include "kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace leaky {
namespace {

bool always() { return true; }

#if defined(__x86_64__)

// __builtin_cpu_supports asks the operating system's part too; not every compiler's knows F16C by name.
bool has_avx2() {
    unsigned a, b, c, d;
    return __builtin_cpu_supports("avx2") && __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

bool has_avx512() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

#endif

}  // namespace

const std::vector<InstructionSet>& instruction_sets() {
    static const std::vector<InstructionSet> sets = {
#if defined(__x86_64__)
        {"avx512", has_avx512, &kAvx512, &kAvx512Tallies},
        {"avx2", has_avx2, &kAvx2, &kAvx2Tallies},
#endif
        {"scalar", always, &kScalar, &kScalarTallies},
    };
    return sets;
}

const InstructionSet& choose(const std::string& cap) {
    bool allowed = cap.empty();
    std::string names;
    for (const InstructionSet& set : instruction_sets()) {
        allowed = allowed || cap == set.name;
        if (allowed && set.supported()) return set;
        names += (names.empty() ? "" : ", ") + std::string(set.name);
    }
    throw std::invalid_argument("LEAKY_ISA must be one of " + names + ", got '" + cap + "'");
}

}  // namespace leaky
