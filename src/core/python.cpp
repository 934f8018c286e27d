// The module leaky._core.

#define LEAKY_IMPORTS_NUMPY
#include "python.h"

#include <climits>
#include <cstdlib>
#include <stdexcept>

#include "run.h"
#include "threads.h"

namespace {

PyObject* get_num_threads(PyObject*, PyObject*) { return PyLong_FromLong(leaky::thread_count()); }

PyObject* set_num_threads(PyObject*, PyObject* number) {
    int overflow;
    const long count = PyLong_AsLongAndOverflow(number, &overflow);
    if (count == -1 && PyErr_Occurred()) return nullptr;
    // What is no int stands for very many; how many there can be is known over there.
    leaky::set_thread_count(overflow > 0 || count > INT_MAX ? INT_MAX : static_cast<int>(count));
    Py_RETURN_NONE;
}

PyObject* borrow_threads(PyObject*, PyObject* addresses) {
    Py_ssize_t parallel, most, this_thread;
    if (!PyArg_ParseTuple(addresses, "nnn", &parallel, &most, &this_thread)) return nullptr;
    leaky::borrow_threads({reinterpret_cast<void (*)(void (*)(void*), void*, unsigned, unsigned)>(parallel),
                           reinterpret_cast<int (*)()>(most), reinterpret_cast<int (*)()>(this_thread)});
    Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    {"get_num_threads", get_num_threads, METH_NOARGS, "How many threads a large run is shared among."},
    {"set_num_threads", set_num_threads, METH_O, "Share large runs among so many threads."},
    {"borrow_threads", borrow_threads, METH_VARARGS, "Share large runs among the threads of a loaded OpenMP library."},
    {"register_bfloat16", leaky::register_bfloat16, METH_O, "Teach the ufuncs ml_dtypes' bfloat16, given its dtype."},
    {nullptr, nullptr, 0, nullptr},
};

int add_constants(PyObject* module) {
    if (PyModule_AddStringConstant(module, "ISA", leaky::instruction_set().name) < 0) return -1;
    const leaky::Owned codes{PyDict_New()};
    if (!codes) return -1;
#define LEAKY_CODE(name, T)                                                           \
    {                                                                                 \
        const leaky::Owned code{PyLong_FromLong(static_cast<long>(leaky::Type::name))}; \
        if (!code || PyDict_SetItemString(codes.get(), #name, code.get()) < 0) return -1; \
    }
    LEAKY_TYPES(LEAKY_CODE)
#undef LEAKY_CODE
    return PyModule_AddObjectRef(module, "TYPES", codes.get());
}

int execute(PyObject* module) {
    import_array1(-1);
    import_umath1(-1);
    try {
        const char* cap = std::getenv("LEAKY_ISA");
        leaky::configure(cap ? cap : "");
    } catch (const std::invalid_argument& error) {
        PyErr_SetString(PyExc_ImportError, error.what());
        return -1;
    }
    if (leaky::add_ufuncs(module) < 0) return -1;
    if (PyModule_AddFunctions(module, leaky::direct_functions) < 0) return -1;
    return add_constants(module);
}

PyModuleDef_Slot slots[] = {
    {Py_mod_exec, reinterpret_cast<void*>(execute)},
#if PY_VERSION_HEX >= 0x030c0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},  // as NumPy
#endif
    {0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_core", "Leaky ReLU as NumPy ufuncs.", sizeof(leaky::State), functions, slots,
    nullptr, nullptr, nullptr,
};

}  // namespace

PyMODINIT_FUNC PyInit__core() { return PyModuleDef_Init(&definition); }
