"""Makes hippo.json beside this file: the HiPPO systems of model/hippo.h, built element by element from their
formulas, with dense linear algebra.

For each family, of SIZE states and a step of DT:
  A            (SIZE, SIZE), row after row
  step, input  the bilinear step of A and of B
  eigenvalues  of A: pairs (real part, imaginary part)

Made with numpy 2.4.
"""

import json
import math
import pathlib

import numpy as np

SIZE, DT = 6, 0.1


def legs(n):
    A = np.zeros((n, n))
    for row in range(n):
        for column in range(row):
            A[row, column] = -math.sqrt((2 * row + 1) * (2 * column + 1))
        A[row, row] = -(row + 1)
    return A, np.sqrt(2 * np.arange(n) + 1.0)


def fourier(n, half):
    b = np.array([1.0] + [math.sqrt(2) if i % 2 == 0 else 0 for i in range(1, n)])
    K = np.zeros((n, n))
    for k in range(n // 2):
        K[2 * k, 2 * k + 1] = -(1 if half else 2) * math.pi * k
        K[2 * k + 1, 2 * k] = -K[2 * k, 2 * k + 1]
    scale = 1 if half else 2
    A = K - scale * np.outer(b, b)
    A[1, 1] = -scale  # the sine of frequency 0
    return A, scale * b


def pairs(eigenvalues):
    n = 2 * len(eigenvalues)
    A = np.zeros((n, n))
    for k, value in enumerate(eigenvalues):
        A[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = [[value.real, -value.imag], [value.imag, value.real]]
    return A, np.array([1.0, 0.0] * len(eigenvalues))


def family(name, n):
    if name == "legs":
        return legs(n)
    if name.startswith("fourier"):
        return fourier(n, half=name == "fourier_half")
    if name == "real":
        return np.diag(-(np.arange(n) + 1.0)), np.ones(n)
    if name == "lin":
        return pairs([-0.5 + 1j * math.pi * k for k in range(n // 2)])
    return pairs([-0.5 + 1j * n / math.pi * (n / (2 * k + 1) - 1) for k in range(n // 2)])


golden = {"size": SIZE, "dt": DT}
for name in ("legs", "fourier", "fourier_half", "real", "lin", "inv"):
    A, B = family(name, SIZE)
    left = np.eye(SIZE) - DT / 2 * A
    golden[name] = {
        "A": A.ravel().tolist(),
        "step": np.linalg.solve(left, np.eye(SIZE) + DT / 2 * A).ravel().tolist(),
        "input": np.linalg.solve(left, DT * B).tolist(),
        "eigenvalues": [[value.real, value.imag] for value in np.linalg.eigvals(A).astype(complex)],
    }
(pathlib.Path(__file__).parent / "hippo.json").write_text(json.dumps(golden, indent=1) + "\n")
