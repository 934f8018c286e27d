// Arrays between pages that must not be touched.

#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace harness {

// Memory with a page on either side that the process dies on touching.
class Guarded {
public:
    static constexpr std::size_t kShifts = 64;  // an array may lie so many bytes off a page

    explicit Guarded(std::size_t bytes) : page_(sysconf(_SC_PAGESIZE)), size_((bytes + kShifts + page_ - 1) / page_ * page_) {
        void* const all = mmap(nullptr, size_ + 2 * page_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        begin_ = static_cast<unsigned char*>(all) + page_;
        if (all == MAP_FAILED || mprotect(begin_, size_, PROT_READ | PROT_WRITE)) std::abort();
    }
    ~Guarded() { munmap(begin_ - page_, size_ + 2 * page_); }
    Guarded(const Guarded&) = delete;
    Guarded& operator=(const Guarded&) = delete;

    // An array that starts `shift` bytes behind the page before it, or ends as many before the page behind it.
    unsigned char* place(std::size_t bytes, std::size_t shift, bool at_end) {
        std::memset(begin_, kUntouched, size_);
        return at_end ? begin_ + size_ - bytes - shift : begin_ + shift;
    }
    // Looks a few vectors far: who writes further off meets a page that kills it.
    bool untouched_around(const unsigned char* array, std::size_t bytes) const {
        const unsigned char *first = std::max<const unsigned char*>(begin_, array - 128), *end = array + bytes;
        const auto untouched = [](unsigned char byte) { return byte == kUntouched; };
        return std::all_of(first, array, untouched) && std::all_of(end, std::min<const unsigned char*>(begin_ + size_, end + 128), untouched);
    }

private:
    static constexpr unsigned char kUntouched = 0xab;
    std::size_t page_, size_;
    unsigned char* begin_;
};

}  // namespace harness
