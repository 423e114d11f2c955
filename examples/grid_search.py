"""A grid search of scikit-learn on actors, by one line more.

scikit-learn hands its fits to joblib, and joblib to the backend that `parallel_config` names. A
worker that dies costs the fits it had in hand; with `retries` they are tried again, and the search
never hears of it.

Run it: procactors examples grid_search   (needs: pip install 'procactors[joblib]' scikit-learn)

Expected output:

    9 candidates, 4 folds: 36 fits on ... workers

         C   gamma  accuracy
       ... ...     0.9...
       ... ...     0.9...
       ... ...     0.9...

    best: C=..., gamma=...
    on digits that it has not seen: ...% right
    36 fits in ... s
"""

import sys
import time

try:
    import joblib
    from sklearn.datasets import load_digits
    from sklearn.model_selection import GridSearchCV, train_test_split
    from sklearn.svm import SVC
except ImportError:
    print("this example needs joblib and scikit-learn:")
    print("pip install 'procactors[joblib]' scikit-learn")
    sys.exit(0)

import procactors.joblib
from procactors import usable_cpus

procactors.joblib.register()

digits = load_digits()
train, test, train_labels, test_labels = train_test_split(
    digits.data, digits.target, test_size=0.5, random_state=0
)
grid = {"C": [0.1, 1, 10], "gamma": [0.0001, 0.001, 0.01]}
search = GridSearchCV(SVC(), grid, cv=4, n_jobs=-1)
print(f"9 candidates, 4 folds: 36 fits on {usable_cpus()} workers\n")

started = time.perf_counter()
with joblib.parallel_config(backend="procactors", retries=1, preload=["sklearn.svm"]):
    search.fit(train, train_labels)
seconds = time.perf_counter() - started

found = search.cv_results_
best_first = sorted(range(9), key=lambda at: -found["mean_test_score"][at])
print(f"{'C':>6}  {'gamma':>6}  accuracy")
for at in best_first[:3]:
    chosen, score = found["params"][at], found["mean_test_score"][at]
    print(f"{chosen['C']:>6}  {chosen['gamma']:>6}     {score:.3f}")

best = ", ".join(f"{name}={value}" for name, value in search.best_params_.items())
print(f"\nbest: {best}")
print(f"on digits that it has not seen: {search.score(test, test_labels):.1%} right")
print(f"36 fits in {seconds:.1f} s")
