// The operations without the ufunc machinery: on plain arrays, where its overhead would tell for small ones, and on
// addresses, for adapters to frameworks that have arrays of their own. _core.pyi documents them.

#include "python.h"

#include <cmath>
#include <cstring>
#include <new>

#include "exact_sum.h"
#include "memory.h"
#include "run.h"
#include "statistics.h"

namespace leaky {
namespace {

// While it lives, Python's lock is not held, unless for so few elements that it would take longer to come back to it.
class Unlocked {
public:
    explicit Unlocked(std::size_t count) : state_(count > kFew ? PyEval_SaveThread() : nullptr) {}
    ~Unlocked() {
        if (state_) PyEval_RestoreThread(state_);
    }
    Unlocked(const Unlocked&) = delete;
    Unlocked& operator=(const Unlocked&) = delete;

private:
    static constexpr std::size_t kFew = 1024;
    PyThreadState* state_;
};

void run_unlocked(Operation op, Type type, const Run& task) {
    const Unlocked unlocked(task.count);
    run(op, type, task);
}

bool wants(const char* name, Py_ssize_t given, Py_ssize_t wanted) {
    if (given == wanted) return true;
    PyErr_Format(PyExc_TypeError, "%s takes %zd arguments, got %zd", name, wanted, given);
    return false;
}

// --- plain arrays

bool find_type(int number, Type* type) {
    switch (number) {
        case NPY_HALF: *type = Type::float16; return true;
        case NPY_FLOAT: *type = Type::float32; return true;
        case NPY_DOUBLE: *type = Type::float64; return true;
        default: *type = Type::bfloat16; return number == bfloat16_number;
    }
}

// An exact ndarray in C order, aligned, of native bytes, with at least one dimension; else null.
PyArrayObject* plain(PyObject* object) {
    if (!PyArray_CheckExact(object)) return nullptr;
    auto* const array = reinterpret_cast<PyArrayObject*>(object);
    const bool is = PyArray_IS_C_CONTIGUOUS(array) && PyArray_ISALIGNED(array) && PyArray_ISNOTSWAPPED(array);
    return is && PyArray_NDIM(array) > 0 ? array : nullptr;
}

bool alike(PyArrayObject* a, PyArrayObject* b) {
    return PyArray_TYPE(a) == PyArray_TYPE(b) && PyArray_SAMESHAPE(a, b);
}

// Whether `out` can be written to while `operand` is read: itself, or memory apart from it.
bool compatible(PyArrayObject* out, PyArrayObject* operand) {
    const char *a = PyArray_BYTES(out), *b = PyArray_BYTES(operand);
    const npy_intp bytes = PyArray_NBYTES(operand);
    return alike(out, operand) && (a == b || a + bytes <= b || b + bytes <= a);
}

// (x, slope, out) or (grad, x, slope, out). None where it is not the plain case, for the ufunc to see to.
template <Operation op>
PyObject* on_arrays(PyObject*, PyObject* const* args, Py_ssize_t count) {
    constexpr int operands = reads_grad(op) ? 2 : 1;
    if (!wants("a function on plain arrays", count, operands + 2)) return nullptr;
    PyArrayObject* const x = plain(args[operands - 1]);
    PyArrayObject* const grad = plain(args[0]);
    PyObject *const slope = args[operands], *const given = args[operands + 1];
    Run task;
    Type type;
    if (!x || !grad || !PyFloat_CheckExact(slope) || !find_type(PyArray_TYPE(x), &type)) Py_RETURN_NONE;
    task.slope = PyFloat_AS_DOUBLE(slope);
    if (std::isnan(task.slope) || !alike(x, grad)) Py_RETURN_NONE;

    Owned out;
    if (given == Py_None) {
        out.reset(PyArray_NewLikeArray(x, NPY_CORDER, nullptr, 0));
        if (!out) return nullptr;
    } else {
        PyArrayObject* const array = plain(given);
        if (!array || !PyArray_ISWRITEABLE(array) || !compatible(array, x) || !compatible(array, grad)) Py_RETURN_NONE;
        out.reset(Py_NewRef(given));
    }
    task.count = PyArray_SIZE(x);
    task.x = PyArray_DATA(x);
    task.grad = PyArray_DATA(grad);
    task.y = PyArray_DATA(reinterpret_cast<PyArrayObject*>(out.get()));
    run_unlocked(op, type, task);
    return out.release();
}

// --- addresses

bool read_count(PyObject* number, std::size_t* count) {
    const Py_ssize_t value = PyLong_AsSsize_t(number);
    if (value < 0 && !PyErr_Occurred()) PyErr_Format(PyExc_ValueError, "a count must not be below 0, got %zd", value);
    *count = static_cast<std::size_t>(value);
    return value >= 0;
}

bool read_type(PyObject* number, Type* type) {
    const long code = PyLong_AsLong(number);
    const bool known = code >= 0 && code < static_cast<long>(kTypes);
    if (!known && !PyErr_Occurred()) PyErr_Format(PyExc_ValueError, "a type must be one of TYPES, got %ld", code);
    *type = static_cast<Type>(code);
    return known;
}

// What it reads (grad, x, mask), what it writes (y, mask), the number of elements, their type, the slope.
template <Operation op>
PyObject* on_addresses(PyObject*, PyObject* const* args, Py_ssize_t count) {
    constexpr bool has_slope = op != Operation::mask;
    constexpr int wanted = reads_grad(op) + reads_x(op) + reads_mask(op) + writes_y(op) + writes_mask(op) + 2 + has_slope;
    if (!wants("a function on addresses", count, wanted)) return nullptr;
    Run task;
    Type type;
    if (reads_grad(op)) task.grad = PyLong_AsVoidPtr(*args++);
    if (reads_x(op)) task.x = PyLong_AsVoidPtr(*args++);
    if (reads_mask(op)) task.mask = static_cast<unsigned char*>(PyLong_AsVoidPtr(*args++));
    if (writes_y(op)) task.y = PyLong_AsVoidPtr(*args++);
    if (writes_mask(op)) task.mask = static_cast<unsigned char*>(PyLong_AsVoidPtr(*args++));
    if (PyErr_Occurred() || !read_count(*args++, &task.count) || !read_type(*args++, &type)) return nullptr;
    if (has_slope) {
        task.slope = PyFloat_AsDouble(*args);
        if (task.slope == -1 && PyErr_Occurred()) return nullptr;
    }
    run_unlocked(op, type, task);
    Py_RETURN_NONE;
}

// (x, y, bytes): moved as float32, which no instruction set changes on the way.
PyObject* copy(PyObject*, PyObject* const* args, Py_ssize_t count) {
    std::size_t bytes;
    if (!wants("copy", count, 3) || !read_count(args[2], &bytes)) return nullptr;
    const auto* const from = static_cast<const char*>(PyLong_AsVoidPtr(args[0]));
    auto* const to = static_cast<char*>(PyLong_AsVoidPtr(args[1]));
    if (PyErr_Occurred()) return nullptr;
    Run task;
    task.count = bytes / sizeof(float);
    task.x = from;
    task.y = to;
    run_unlocked(Operation::copy, Type::float32, task);
    const std::size_t done = task.count * sizeof(float);
    std::memcpy(to + done, from + done, bytes - done);
    Py_RETURN_NONE;
}

// (address, bytes)
PyObject* huge_pages(PyObject*, PyObject* const* args, Py_ssize_t count) {
    std::size_t bytes;
    if (!wants("advise_huge_pages", count, 2) || !read_count(args[1], &bytes)) return nullptr;
    void* const memory = PyLong_AsVoidPtr(args[0]);
    if (PyErr_Occurred()) return nullptr;
    advise_huge_pages(memory, bytes);
    Py_RETURN_NONE;
}

// --- what is seen of units

// The data of a plain array of that type that can be written to, with so many elements; else null, and an error is set.
void* room(PyObject* object, int type, std::size_t elements) {
    PyArrayObject* const array = plain(object);
    if (array && PyArray_TYPE(array) == type && PyArray_ISWRITEABLE(array) &&
        static_cast<std::size_t>(PyArray_SIZE(array)) == elements)
        return PyArray_DATA(array);
    PyErr_Format(PyExc_ValueError, "expected a writeable contiguous array of %zu %s, got %R", elements,
                 type == NPY_INT64 ? "int64" : "float64", object);
    return nullptr;
}

// (x, dtype, samples, before, units, after, low, high, block)
PyObject* count_units(PyObject*, PyObject* const* args, Py_ssize_t count) {
    if (!wants("statistics", count, 9)) return nullptr;
    Tensor tensor;
    Type type;
    tensor.x = PyLong_AsVoidPtr(args[0]);
    if (PyErr_Occurred() || !read_type(args[1], &type) || !read_count(args[2], &tensor.samples) ||
        !read_count(args[3], &tensor.before) || !read_count(args[4], &tensor.units) ||
        !read_count(args[5], &tensor.after))
        return nullptr;
    const Limits limits{PyFloat_AsDouble(args[6]), PyFloat_AsDouble(args[7])};
    if (PyErr_Occurred()) return nullptr;
    void* const block = room(args[8], NPY_INT64, kRows * tensor.units);
    if (!block) return nullptr;
    try {
        const Unlocked unlocked(tensor.count());
        statistics(type, tensor, limits, block);
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
    Py_RETURN_NONE;
}

// (terms, first, limbs, beyond)
PyObject* add_terms(PyObject*, PyObject* const* args, Py_ssize_t count) {
    std::size_t first;
    if (!wants("add_exactly", count, 4) || !read_count(args[1], &first)) return nullptr;
    PyArrayObject* const limbs = plain(args[2]);
    if (!limbs || PyArray_NDIM(limbs) != 2)
        return PyErr_Format(PyExc_ValueError, "limbs must be an array of two dimensions, got %R", args[2]);
    const auto rows = static_cast<std::size_t>(PyArray_DIM(limbs, 0));
    const auto sums = static_cast<std::size_t>(PyArray_DIM(limbs, 1));
    const auto* const terms = static_cast<const double*>(room(args[0], NPY_DOUBLE, sums));
    auto* const data = terms ? static_cast<std::int64_t*>(room(args[2], NPY_INT64, rows * sums)) : nullptr;
    auto* const beyond = data ? static_cast<double*>(room(args[3], NPY_DOUBLE, sums)) : nullptr;
    if (!beyond) return nullptr;
    const Window needed = touched(terms, sums);
    if (needed.end && (needed.first < first || needed.end > first + rows))
        return Py_BuildValue("nn", static_cast<Py_ssize_t>(needed.first), static_cast<Py_ssize_t>(needed.end));
    add_exactly(terms, sums, {first, first + rows}, data, beyond);
    Py_RETURN_NONE;
}

template <PyObject* (*function)(PyObject*, PyObject* const*, Py_ssize_t)>
PyMethodDef method(const char* name) {
    return {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function)), METH_FASTCALL, nullptr};
}

}  // namespace

PyMethodDef direct_functions[] = {
    method<on_arrays<Operation::forward>>("plain_leaky_relu"),
    method<on_arrays<Operation::derivative>>("plain_leaky_relu_derivative"),
    method<on_arrays<Operation::backward>>("plain_leaky_relu_backward"),
    method<on_addresses<Operation::forward>>("forward"),
    method<on_addresses<Operation::derivative>>("derivative"),
    method<on_addresses<Operation::backward>>("backward"),
    method<on_addresses<Operation::forward_with_mask>>("forward_with_mask"),
    method<on_addresses<Operation::backward_from_mask>>("backward_from_mask"),
    method<on_addresses<Operation::mask>>("mask"),
    method<copy>("copy"),
    method<huge_pages>("advise_huge_pages"),
    method<count_units>("statistics"),
    method<add_terms>("add_exactly"),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace leaky
