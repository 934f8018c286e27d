// The module leaky._core: the definition as NumPy ufuncs. The only file that knows Python and NumPy.

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <numpy/arrayobject.h>
#include <numpy/ufuncobject.h>

#include <memory>
#include <type_traits>

#include "definition.h"
#include "float_environment.h"

namespace {

using leaky::compute_t;
using leaky::half;

// The slope reaches a loop as float64 and is rounded to the compute type there, once and without a warning: so it does
// not decide the result's type either.
template <class T>
using slope_t = std::conditional_t<std::is_same_v<T, long double>, long double, double>;

template <class T>
compute_t<T> load(const char* at) {
    return static_cast<compute_t<T>>(*reinterpret_cast<const T*>(at));
}

template <class T>
compute_t<T> load_slope(const char* at) {
    return static_cast<compute_t<T>>(*reinterpret_cast<const slope_t<T>*>(at));
}

template <class T>
void store(char* at, compute_t<T> value) {
    *reinterpret_cast<T*>(at) = static_cast<T>(value);
}

// (x, negative_slope) -> y
template <class T, compute_t<T> (*function)(compute_t<T>, compute_t<T>)>
void loop(char** args, const npy_intp* count, const npy_intp* steps, void*) {
    const leaky::FloatEnvironment<compute_t<T>> environment;
    char *x = args[0], *slope = args[1], *y = args[2];
    for (npy_intp i = 0; i < *count; ++i) {
        store<T>(y, function(load<T>(x), load_slope<T>(slope)));
        x += steps[0], slope += steps[1], y += steps[2];
    }
}

// (grad_output, x, negative_slope) -> grad_input
template <class T, compute_t<T> (*function)(compute_t<T>, compute_t<T>, compute_t<T>)>
void loop(char** args, const npy_intp* count, const npy_intp* steps, void*) {
    const leaky::FloatEnvironment<compute_t<T>> environment;
    char *grad = args[0], *x = args[1], *slope = args[2], *out = args[3];
    for (npy_intp i = 0; i < *count; ++i) {
        store<T>(out, function(load<T>(grad), load<T>(x), load_slope<T>(slope)));
        grad += steps[0], x += steps[1], slope += steps[2], out += steps[3];
    }
}

// NumPy takes the first loop that its operands cast to safely: smallest type first, as its own float ufuncs have it.
constexpr int kLoops = 4;

#define LEAKY_LOOPS(function)                                                 \
    {loop<half, leaky::function<float>>, loop<float, leaky::function<float>>, \
     loop<double, leaky::function<double>>, loop<long double, leaky::function<long double>>}

PyUFuncGenericFunction forward_loops[kLoops] = LEAKY_LOOPS(leaky_relu);
PyUFuncGenericFunction derivative_loops[kLoops] = LEAKY_LOOPS(leaky_relu_derivative);
PyUFuncGenericFunction backward_loops[kLoops] = LEAKY_LOOPS(leaky_relu_backward);
PyUFuncGenericFunction inverse_loops[kLoops] = LEAKY_LOOPS(leaky_relu_inverse);

#undef LEAKY_LOOPS

void* no_data[kLoops] = {};

constexpr char kUnaryTypes[kLoops * 3] = {
    NPY_HALF,       NPY_DOUBLE,     NPY_HALF,        //
    NPY_FLOAT,      NPY_DOUBLE,     NPY_FLOAT,       //
    NPY_DOUBLE,     NPY_DOUBLE,     NPY_DOUBLE,      //
    NPY_LONGDOUBLE, NPY_LONGDOUBLE, NPY_LONGDOUBLE,  //
};
constexpr char kBackwardTypes[kLoops * 4] = {
    NPY_HALF,       NPY_HALF,       NPY_DOUBLE,     NPY_HALF,        //
    NPY_FLOAT,      NPY_FLOAT,      NPY_DOUBLE,     NPY_FLOAT,       //
    NPY_DOUBLE,     NPY_DOUBLE,     NPY_DOUBLE,     NPY_DOUBLE,      //
    NPY_LONGDOUBLE, NPY_LONGDOUBLE, NPY_LONGDOUBLE, NPY_LONGDOUBLE,  //
};

struct Release {
    void operator()(PyObject* object) const { Py_DECREF(object); }
};
using Owned = std::unique_ptr<PyObject, Release>;

int add_ufunc(PyObject* module, const char* name, const char* doc, PyUFuncGenericFunction* loops, const char* types,
              int inputs) {
    const Owned ufunc{
        PyUFunc_FromFuncAndData(loops, no_data, types, kLoops, inputs, 1, PyUFunc_None, name, doc, 0)};
    return ufunc ? PyModule_AddObjectRef(module, name, ufunc.get()) : -1;
}

int execute(PyObject* module) {
    import_array1(-1);
    import_umath1(-1);
    if (add_ufunc(module, "leaky_relu", "x where x > 0, negative_slope * x everywhere else", forward_loops,
                  kUnaryTypes, 2) < 0)
        return -1;
    if (add_ufunc(module, "leaky_relu_derivative", "1 where x > 0, negative_slope everywhere else", derivative_loops,
                  kUnaryTypes, 2) < 0)
        return -1;
    if (add_ufunc(module, "leaky_relu_backward",
                  "grad_output where x > 0, negative_slope * grad_output everywhere else", backward_loops,
                  kBackwardTypes, 3) < 0)
        return -1;
    return add_ufunc(module, "leaky_relu_inverse", "y where y > 0, y / negative_slope everywhere else", inverse_loops,
                     kUnaryTypes, 2);
}

PyModuleDef_Slot slots[] = {
    {Py_mod_exec, reinterpret_cast<void*>(execute)},
    {0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_core", "Leaky ReLU as NumPy ufuncs.", 0, nullptr, slots, nullptr, nullptr, nullptr,
};

}  // namespace

PyMODINIT_FUNC PyInit__core() { return PyModuleDef_Init(&definition); }
