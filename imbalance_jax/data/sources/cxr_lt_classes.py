"""The classes of the long-tailed sets, spelt as their tables spell them."""

OF_2023 = (
    'Atelectasis', 'Calcification of the Aorta', 'Cardiomegaly', 'Consolidation', 'Edema', 'Emphysema',
    'Enlarged Cardiomediastinum', 'Fibrosis', 'Fracture', 'Hernia', 'Infiltration', 'Lung Lesion', 'Lung Opacity',
    'Mass', 'No Finding', 'Nodule', 'Pleural Effusion', 'Pleural Other', 'Pleural Thickening', 'Pneumomediastinum',
    'Pneumonia', 'Pneumoperitoneum', 'Pneumothorax', 'Subcutaneous Emphysema', 'Support Devices', 'Tortuous Aorta',
)  # fmt: skip
ADDED_2024 = (
    'Adenopathy', 'Azygos Lobe', 'Clavicle Fracture', 'Fissure', 'Granuloma', 'Hydropneumothorax', 'Infarction',
    'Kyphosis', 'Lobar Atelectasis', 'Pulmonary Embolism', 'Pulmonary Hypertension', 'Rib Fracture',
    'Round(ed) Atelectasis', 'Tuberculosis',
)  # fmt: skip
UNSEEN_2024 = ('Bulla', 'Cardiomyopathy', 'Hilum', 'Osteopenia', 'Scoliosis')
SHARED = tuple(sorted({*OF_2023, 'Normal'} - {'No Finding'}))  # 2024 calls No Finding Normal
OF_2026 = (
    'Normal', 'aortic elongation', 'cardiomegaly', 'pleural effusion', 'Nodule', 'atelectasis', 'pleural thickening',
    'aortic atheromatosis', 'Support Devices', 'alveolar pattern', 'fracture', 'Hernia', 'Emphysema', 'azygos lobe',
    'Hydropneumothorax', 'Kyphosis', 'Mass', 'Pneumothorax', 'Subcutaneous Emphysema', 'pneumoperitoneo',
    'vascular hilar enlargement', 'vertebral degenerative changes', 'hyperinflated lung', 'interstitial pattern',
    'central venous catheter', 'hypoexpansion', 'bronchiectasis', 'hemidiaphragm elevation', 'sternotomy',
    'calcified densities',
)  # fmt: skip
MIMIC_LT = (
    'Atelectasis', 'Calcification of the Aorta', 'Cardiomegaly', 'Consolidation', 'Edema', 'Enlarged Cardiomediastinum',
    'Fracture', 'Lung Lesion', 'Lung Opacity', 'No Finding', 'Pleural Effusion', 'Pleural Other', 'Pneumomediastinum',
    'Pneumonia', 'Pneumoperitoneum', 'Pneumothorax', 'Subcutaneous Emphysema', 'Support Devices', 'Tortuous Aorta',
)  # fmt: skip
NIH_LT = (
    'No Finding', 'Infiltration', 'Effusion', 'Atelectasis', 'Nodule', 'Mass', 'Consolidation', 'Pneumothorax',
    'Pleural Thickening', 'Cardiomegaly', 'Emphysema', 'Edema', 'Fibrosis', 'Subcutaneous Emphysema', 'Pneumonia',
    'Tortuous Aorta', 'Calcification of the Aorta', 'Pneumoperitoneum', 'Hernia', 'Pneumomediastinum',
)  # fmt: skip
SPELLINGS = {
    'Round(ed) Atelectasis': ('Rounded Atelectasis', 'Round Atelectasis'),
    'Pleural Thickening': ('Pleural_Thickening',),
}
# version: {task: classes}
CLASSES: dict[str, dict[int, tuple[str, ...]]] = {
    '2023': {1: OF_2023},
    '2024': {1: tuple(sorted((*SHARED, *ADDED_2024))), 2: SHARED, 3: UNSEEN_2024},
    '2026': {1: OF_2026},
    'multi-label': {1: MIMIC_LT},
    'single-label': {1: MIMIC_LT},
}
