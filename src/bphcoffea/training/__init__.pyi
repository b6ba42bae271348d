from .metrics import Scores as Scores, roc_curve as roc_curve
from .train import Training as Training, train_run as train_run
